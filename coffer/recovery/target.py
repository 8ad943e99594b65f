"""Which moment to bring back, and whether a point can reach it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coffer.errors import NotThere, UsageError
from coffer.sources.postgres.wal import parse_lsn
from coffer.vault.capture import Fact
from coffer.vault.points import Point


class TargetKind(StrEnum):
    """How a moment is named."""

    LATEST = "latest"
    POINT = "point"
    TIME = "time"
    LSN = "lsn"
    NAME = "name"


@dataclass(frozen=True)
class RestoreTarget:
    """The moment to bring a database back to.

    Attributes:
        kind: How it is named: the end of the log, the point itself, a time, a position, a named restore point.
        value: The time with its offset, the LSN or the name; empty for the first two.
        timeline: Which timeline to follow: `latest`, `current` (the point's own) or its number.
    """

    kind: TargetKind = TargetKind.LATEST
    value: str = ""
    timeline: str = "latest"

    def __post_init__(self) -> None:
        """Refuse what is no timeline."""
        if self.timeline not in ("latest", "current") and not (self.timeline.isdecimal() and int(self.timeline)):
            raise UsageError(f"'{self.timeline}' is no timeline", resolution="Write latest, current or its number")

    @classmethod
    def at_time(cls, moment: datetime) -> RestoreTarget:
        """Return the target for a moment.

        Raises:
            UsageError: The time has no offset; a local time would be another moment on another machine.
        """
        if moment.tzinfo is None:
            raise UsageError("a moment needs its offset from UTC", detail=str(moment), resolution="Write …Z or …+02:00")
        return cls(TargetKind.TIME, moment.isoformat())

    @classmethod
    def parse_time(cls, text: str) -> RestoreTarget:
        """Read an ISO 8601 time with offset; raises as `at_time` does."""
        try:
            return cls.at_time(datetime.fromisoformat(text))
        except ValueError:
            raise UsageError(f"'{text}' is no time", resolution="Write 2026-11-24T10:15:00Z") from None

    @classmethod
    def at_lsn(cls, text: str) -> RestoreTarget:
        """Return the target for a position of the log."""
        parse_lsn(text)
        return cls(TargetKind.LSN, text)

    def __str__(self) -> str:
        """Return it for people."""
        return self.value or {"latest": "the end of the log", "point": "the point itself"}[self.kind]

    @property
    def time(self) -> datetime | None:
        """The moment, if it is named by time."""
        return datetime.fromisoformat(self.value) if self.kind is TargetKind.TIME else None

    def settings(self) -> dict[str, str]:
        """Return PostgreSQL's recovery settings."""
        named: dict[str, str] = {
            TargetKind.LATEST: {},
            TargetKind.POINT: {"recovery_target": "immediate"},
            TargetKind.TIME: {"recovery_target_time": self.value},
            TargetKind.LSN: {"recovery_target_lsn": self.value},
            TargetKind.NAME: {"recovery_target_name": self.value},
        }[self.kind]
        if named:
            # Looking ahead, PostgreSQL would ask for log beyond the target, and end at a hole that it need not cross.
            named["recovery_prefetch"] = "off"
        return {**named, "recovery_target_timeline": self.timeline, "recovery_target_action": "promote"}

    def check(self, facts: Mapping[str, Fact]) -> None:
        """Refuse a moment before the point became consistent.

        Raises:
            UsageError: It lies before; the earliest possible moment is named.
        """
        if not reaches(facts, self):
            raise UsageError(
                f"{self} lies before this point's end",
                detail=f"the earliest moment it can give is {facts['stopped']!s} (LSN {facts['stop_lsn']!s})",
                resolution="Choose that or a later one, or an older point",
            )


def reaches(facts: Mapping[str, Fact], target: RestoreTarget) -> bool:
    """Tell whether a capture ended before a moment, so that its log can be played up to it."""
    if target.time is not None:
        return datetime.fromisoformat(str(facts["stopped"])) <= target.time
    if target.kind is TargetKind.LSN:
        return parse_lsn(str(facts["stop_lsn"])) <= parse_lsn(target.value)
    return True


def choose_point(points: Iterable[Point], source: str, target: RestoreTarget) -> Point:
    """Return the newest point from which a moment can be reached.

    Raises:
        NotThere: No point holds the source, or all of them end after the moment.
    """
    holding = [(point, held.facts) for point in points if (held := point.source(source)) is not None]
    if not holding:
        raise NotThere(f"no point holds {source}", resolution="Take one with `coffer backup`")
    for point, facts in reversed(holding):
        if reaches(facts, target):
            return point
    raise NotThere(f"no point reaches back to {target}", detail=f"the earliest moment is {holding[0][1]['stopped']!s}")


def choose_files(points: Iterable[Point], source: str, target: RestoreTarget, point: Point) -> Point | None:
    """Return the point whose files belong to a moment, or None where no point holds the source.

    Uploads are immutable, named by their content, and kept for the whole window. So the first capture after a moment
    holds every file that a row of that moment can name; files without a row do no harm, missing ones do.
    """
    holding = [each for each in points if each.source(source) is not None]
    if target.kind is TargetKind.POINT:
        return point if point in holding else None
    later = [each for each in holding if target.time is not None and each.started >= target.time]
    return next(iter(later), None) or (holding[-1] if holding else None)
