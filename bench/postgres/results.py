"""Measurements, failures, and the file that keeps them: it grows with every one, so that none is lost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.postgres.rows import Row
from bench.vault.results import NOISE
from coffer.errors import UsageError


@dataclass(frozen=True)
class Measurement:
    """One command, measured once.

    Attributes:
        tool: By whom.
        major: Version of PostgreSQL.
        row: What was done.
        round: In which round, from 1.
        seconds: Wall clock with the sync.
        cpu: Processor seconds of the tool.
        peak: Bytes of memory at the highest moment.
        foreign: Share of the machine that neither the tool nor PostgreSQL used.
        stored: Bytes that a backup added to the repository.
        checked: What was proven of the outcome afterwards; empty for what leaves nothing to prove.
    """

    tool: str
    major: int
    row: Row
    round: int
    seconds: float
    cpu: float
    peak: int
    foreign: float
    stored: int = 0
    checked: str = ""

    @property
    def quiet(self) -> bool:
        """Tell whether the machine was its own."""
        return self.foreign <= NOISE


@dataclass(frozen=True)
class Failure:
    """A command that failed, or whose outcome was wrong. The tool is out of the round from there on."""

    tool: str
    major: int
    row: str
    round: int
    error: str


@dataclass
class Results:
    """What a run found.

    Attributes:
        header: Machine, versions, settings, command.
        measurements: All that count.
        failures: What failed.
        extras: Streaming lag by version, growth.
        path: Where it is kept, or None.
    """

    header: dict[str, Any]
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def add(self, found: Measurement | Failure) -> None:
        """Keep one more, at once."""
        if isinstance(found, Measurement):
            self.measurements.append(found)
        else:
            self.failures.append(found)
        self.save()

    def note(self, key: str, value: object) -> None:
        """Keep something that is no row, at once."""
        self.extras[key] = value
        self.save()

    def save(self) -> None:
        """Write the file anew, whole or not at all."""
        if self.path is None:
            return
        document = {
            **self.header,
            "extras": self.extras,
            "failures": [asdict(each) for each in self.failures],
            "measurements": [asdict(each) for each in self.measurements],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
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
            found = [Measurement(**{**each, "row": Row(each["row"])}) for each in document.pop("measurements")]
            failed = [Failure(**each) for each in document.pop("failures")]
            return cls(document, found, failed, document.pop("extras"), path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError("That is no file of measurements", detail=f"{path}: {error}") from error

    def cell(self, tool: str, major: int, row: Row) -> Cell | None:
        """Return what counts of a row by a tool."""
        wanted = (tool, major, row)
        return Cell.of(each for each in self.measurements if (each.tool, each.major, each.row) == wanted)

    def subjects(self) -> list[tuple[str, int]]:
        """Return tools with their PostgreSQL, Coffer first."""
        found = {(each.tool, each.major) for each in self.measurements}
        return sorted(found, key=lambda each: (each[0] != "coffer", each))


@dataclass(frozen=True)
class Cell:
    """Measurements of one row by one tool that count: the quiet ones, or all where none was.

    Attributes:
        used: They.
        noisy: True where every one was too noisy.
    """

    used: Sequence[Measurement]
    noisy: bool

    @classmethod
    def of(cls, measurements: Iterable[Measurement]) -> Cell | None:
        """Take what counts."""
        every = list(measurements)
        quiet = [each for each in every if each.quiet]
        return cls(quiet or every, not quiet) if every else None

    def median(self, value: Callable[[Measurement], float]) -> float:
        """Return the middle value."""
        return statistics.median(value(each) for each in self.used)

    def spread(self, value: Callable[[Measurement], float]) -> tuple[float, float]:
        """Return the least and the greatest value."""
        values = [value(each) for each in self.used]
        return min(values), max(values)
