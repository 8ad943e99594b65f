"""What a disaster now would cost, from what drills measured: pure arithmetic.

A recovery copies a point, replays the log since, starts and asks. The first two grow with bytes; the rest was the
same in every drill. Of the last drills the slowest counts: a promise is no average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_LAST = 5
# A drill of less says how long programs take to start, and little of how fast bytes flow.
TELLING = 64 * 1024 * 1024
ASSUMED_RESTORE, ASSUMED_REPLAY, ASSUMED_FIXED = 100e6, 25e6, 60.0
"""Bytes a second, and seconds, where nothing was measured: slower than any machine this was measured on."""


class Measured(Protocol):
    """What a forecast reads of a drill that passed; bytes and seconds."""

    @property
    def restored_bytes(self) -> int:
        """Bytes that were copied."""
        ...

    @property
    def restore_seconds(self) -> float:
        """How long that took."""
        ...

    @property
    def wal_bytes(self) -> int:
        """Log that was replayed."""
        ...

    @property
    def replay_seconds(self) -> float:
        """How long that took, the start of PostgreSQL included."""
        ...

    @property
    def rto_seconds(self) -> float | None:
        """From the start to the first correct answer."""
        ...


@dataclass(frozen=True)
class Rates:
    """How fast a recovery goes.

    Attributes:
        restore: Bytes of content a second.
        replay: Bytes of log a second.
        fixed: Seconds for all that does not grow: opening the vault, starting, the first answer.
        drills: From how many drills that is known.
        assumed: What of it no drill has measured yet.
    """

    restore: float = ASSUMED_RESTORE
    replay: float = ASSUMED_REPLAY
    fixed: float = ASSUMED_FIXED
    drills: int = 0
    assumed: tuple[str, ...] = ("restore", "replay", "fixed")


@dataclass(frozen=True)
class Forecast:
    """What a recovery would take now, in seconds.

    Attributes:
        restore: Copying the point.
        replay: Replaying the log since.
        fixed: The rest.
        rates: What that rests on.
    """

    restore: float
    replay: float
    fixed: float
    rates: Rates

    @property
    def seconds(self) -> float:
        """From the start to the first correct answer."""
        return self.restore + self.replay + self.fixed

    def helped_by_a_point(self, limit: float) -> bool:
        """Tell whether a new point, whose log is short, would bring it under a limit that it now exceeds."""
        return self.seconds > limit >= self.restore + self.fixed

    def __str__(self) -> str:
        """Return it for people."""
        basis = f"from {self.rates.drills} drills" if self.rates.drills else "before any drill"
        if self.rates.assumed and self.rates.drills:
            basis += f"; assumed: {', '.join(self.rates.assumed)}"
        parts = f"restore {self.restore:.0f} s, replay {self.replay:.0f} s, start and ask {self.fixed:.0f} s"
        return f"{self.seconds:.0f} s ({parts}; {basis})"


def rates_of(drills: Sequence[Measured]) -> Rates:
    """Return the rates that the last drills showed.

    Args:
        drills: Drills that passed, oldest first.
    """
    last = [drill for drill in drills if drill.rto_seconds is not None][-_LAST:]
    restores = [
        drill.restored_bytes / drill.restore_seconds
        for drill in last
        if drill.restored_bytes >= TELLING and drill.restore_seconds > 0
    ]
    replays = [
        drill.wal_bytes / drill.replay_seconds
        for drill in last
        if drill.wal_bytes >= TELLING and drill.replay_seconds > 0
    ]
    fixed = [_rest(drill, counted_restore=bool(restores), counted_replay=bool(replays)) for drill in last]
    measured = {"restore": restores, "replay": replays, "fixed": fixed}
    return Rates(
        min(restores, default=ASSUMED_RESTORE),
        min(replays, default=ASSUMED_REPLAY),
        max(fixed, default=ASSUMED_FIXED),
        len(last),
        tuple(name for name, found in measured.items() if not found),
    )


def forecast(rates: Rates, point_size: int, wal_since: int) -> Forecast:
    """Return what a recovery would take now.

    Args:
        rates: How fast one goes.
        point_size: Bytes that a restore of the newest point gives back.
        wal_since: Bytes of log from that point's start to the newest in the vault.
    """
    return Forecast(max(0, point_size) / rates.restore, max(0, wal_since) / rates.replay, rates.fixed, rates)


def _rest(drill: Measured, *, counted_restore: bool, counted_replay: bool) -> float:
    """Return a drill's seconds without what grows; a phase too small for a rate stays in."""
    rest = drill.rto_seconds or 0.0
    if counted_restore:
        rest -= drill.restore_seconds
    if counted_replay:
        rest -= drill.replay_seconds
    return max(0.0, rest)
