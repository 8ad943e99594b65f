"""What a drill found, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from coffer.errors import CofferError, IntegrityError
from coffer.recovery.trend import Drilled

RESTORES = ("restore database", "restore files", "restore Redis")
REPLAY = "replay, promote"
"""Names of the phases that grow with bytes: forecasts are made from them."""


@dataclass(frozen=True)
class Phase:
    """One stretch of the way from nothing to a service that answers.

    Attributes:
        name: What happened.
        start: Seconds after the drill's start.
        seconds: How long it took.
        counts: Part of the recovery time; checks that a disaster would skip are not.
        ok: It ended well.
    """

    name: str
    start: float
    seconds: float
    counts: bool = True
    ok: bool = True


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: What was asked.
        ok: The answer.
        detail: Numbers, or what is wrong.
    """

    name: str
    ok: bool
    detail: str = ""


@dataclass
class DrillReport:
    """A drill's result.

    Attributes:
        environment: Whose recovery was drilled.
        service: Its service.
        started: When.
        point: The recovery point used; empty if none could be chosen.
        target: The moment that was brought back, for people.
        seed: What the moment was drawn with.
        sabotage: What was damaged on purpose; empty normally.
        phases: The way, in order.
        checks: What was asked.
        damage: What is wrong, in order found.
        rto_seconds: From start to the first correct answer; None without one.
        rpo_seconds: By part: how old the newest thing that came back was.
        rto_promise: Seconds promised.
        rpo_promise: Seconds promised.
        rows: Rows of each table, each page read.
        facts: What the service told of itself.
        newest: The newest moment that the vault could give when the drill began.
        isolation: How what was restored was cut off from production.
        wal_files: Log files replayed.
        wal_bytes: Bytes of them.
        restored_bytes: Bytes written.
        exit_code: Of what went wrong; damaged data weighs most.
        trend: The drills that the vault knows, oldest first, this one the last.
    """

    environment: str
    service: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    point: str = ""
    target: str = ""
    seed: int | None = None
    sabotage: str = ""
    phases: list[Phase] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    rto_seconds: float | None = None
    rpo_seconds: dict[str, float] = field(default_factory=dict)
    rto_promise: float = timedelta(minutes=15).total_seconds()
    rpo_promise: float = timedelta(hours=4).total_seconds()
    rows: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    newest: datetime | None = None
    isolation: str = ""
    wal_files: int = 0
    wal_bytes: int = 0
    restored_bytes: int = 0
    exit_code: int = 0
    trend: list[Drilled] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def ok(self) -> bool:
        """Everything that was promised held."""
        return not self.damage and bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def elapsed(self) -> float:
        """Seconds since the drill's start."""
        return time.monotonic() - self._begin

    @property
    def elapsed_counted(self) -> float:
        """Seconds since the drill's start, without what a recovery would not do."""
        return self.elapsed - sum(phase.seconds for phase in self.phases if not phase.counts)

    @contextmanager
    def phase(self, name: str, *, counts: bool = True) -> Iterator[None]:
        """Time a phase, whether it ends well or not."""
        start, ok = self.elapsed, False
        try:
            yield
            ok = True
        finally:
            self.phases.append(Phase(name, start, self.elapsed - start, counts, ok))

    def check(self, name: str, question: Callable[[], str]) -> bool:
        """Ask one question; an error is its answer.

        Args:
            name: What is asked.
            question: Returns a detail, raises a CofferError if the answer is no.
        """
        try:
            self.checks.append(Check(name, True, question()))
        except CofferError as error:
            self.fail(name, error)
            return False
        return True

    def fail(self, name: str, error: CofferError) -> None:
        """Note that something is wrong."""
        self.checks.append(Check(name, False, str(error)))
        self.damage.append(str(error))
        if not self.exit_code or isinstance(error, IntegrityError):
            self.exit_code = error.exit_code

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "ok": self.ok,
            **asdict(self),
            "started": self.started.isoformat(),
            "newest": self.newest.isoformat() if self.newest else None,
            "trend": [{**asdict(drill), "at": drill.at.isoformat()} for drill in self.trend],
        }

    def seconds_of(self, *names: str) -> float:
        """Return how long phases of these names took together."""
        return sum(phase.seconds for phase in self.phases if phase.name in names)

    def lines(self) -> list[str]:
        """Return it for a terminal."""
        head = f"drill of {self.environment}: {'passed' if self.ok else 'FAILED'}"
        lines = [f"{head} (point {self.point or 'none'}, to {self.target or 'nowhere'})"]
        lines += [f"  {phase.name}: {phase.seconds:.1f} s" for phase in self.phases]
        lines += [f"  {'yes' if check.ok else 'NO '} {check.name}: {check.detail}" for check in self.checks]
        if self.rto_seconds is not None:
            lines.append(f"  recovery time {self.rto_seconds:.1f} s (promised {self.rto_promise:.0f} s)")
        lines += [f"  lost at most, {part}: {seconds:.1f} s" for part, seconds in self.rpo_seconds.items()]
        return lines
