"""Measurements and their file: one JSON document that grows with every measurement, so that none is lost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.vault.works import Work
from coffer.errors import UsageError

NOISE = 0.15
"""Share of the machine that others may use; a measurement with more is flagged and done again."""


@dataclass(frozen=True)
class Measurement:
    """One command, measured once.

    Attributes:
        workload: What was backed up.
        place: `file` or `s3`.
        work: What was done.
        tool: By whom.
        round: In which round, from 1.
        attempt: 1, or more where an earlier one was too noisy.
        seconds: Wall clock with the sync.
        user: Processor seconds in its own code.
        system: Processor seconds in the kernel.
        peak: Bytes of memory at the highest moment.
        foreign: Share of the machine that others used.
        stored: Bytes in the store afterwards.
        objects: Objects in the store afterwards.
        requests: Requests to the store's server by kind; empty for a folder.
        server: Processor seconds of that server.
    """

    workload: str
    place: str
    work: Work
    tool: str
    round: int
    attempt: int
    seconds: float
    user: float
    system: float
    peak: int
    foreign: float
    stored: int
    objects: int
    requests: dict[str, int] = field(default_factory=dict)
    server: float = 0.0

    @property
    def quiet(self) -> bool:
        """Tell whether the machine was its own."""
        return self.foreign <= NOISE

    @property
    def cpu(self) -> float:
        """Processor seconds."""
        return self.user + self.system


@dataclass
class Results:
    """What a run of the bench found.

    Attributes:
        header: Machine, versions, settings, command.
        measurements: All of them, the noisy ones too.
        path: Where they are kept, or None.
    """

    header: dict[str, Any]
    measurements: list[Measurement] = field(default_factory=list)
    path: Path | None = None

    def add(self, measurement: Measurement) -> None:
        """Keep one more, at once."""
        self.measurements.append(measurement)
        if self.path is not None:
            document = {**self.header, "measurements": [asdict(each) for each in self.measurements]}
            fresh = self.path.with_name(self.path.name + ".new")
            fresh.write_text(json.dumps(document, indent=1) + "\n")
            fresh.replace(self.path)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file of measurements.

        Raises:
            UsageError: It is none.
        """
        try:
            document = json.loads(path.read_text())
            found = [Measurement(**{**each, "work": Work(each["work"])}) for each in document.pop("measurements")]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError("That is no file of measurements", detail=f"{path}: {error}") from error
        return cls(document, found, path)


@dataclass(frozen=True)
class Cell:
    """The measurements of one work by one tool that count: the quiet ones, or all where none was.

    Attributes:
        used: They.
        noisy: True where every one was too noisy.
    """

    used: Sequence[Measurement]
    noisy: bool

    @classmethod
    def of(cls, measurements: Iterable[Measurement]) -> Cell | None:
        """Take what counts: of each round its quietest attempt, of those the quiet ones."""
        rounds: dict[int, Measurement] = {}
        for each in measurements:
            best = rounds.get(each.round)
            if best is None or each.foreign < best.foreign:
                rounds[each.round] = each
        quiet = [each for each in rounds.values() if each.quiet]
        used = quiet or list(rounds.values())
        return cls(used, not quiet) if used else None

    def median(self, value: Callable[[Measurement], float]) -> float:
        """Return the middle value."""
        return statistics.median(value(each) for each in self.used)

    def spread(self, value: Callable[[Measurement], float]) -> tuple[float, float]:
        """Return the least and the greatest value."""
        values = [value(each) for each in self.used]
        return min(values), max(values)
