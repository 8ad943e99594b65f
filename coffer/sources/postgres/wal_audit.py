"""Finds what is missing of a cluster's log before a recovery needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from coffer.errors import CofferError, IntegrityError, NotThere
from coffer.sources.postgres.wal import (
    SEGMENT_SIZE,
    Fork,
    Gap,
    Piece,
    Segment,
    find_gaps,
    is_history,
    is_segment,
    parse_history,
)
from coffer.sources.postgres.wal_proof import needed_names
from coffer.vault.capture import Fact


class WalNames(Protocol):
    """Lists a cluster's log: a reader or a writer of a vault."""

    def wal_names(self, cluster: str, /) -> Collection[str]:
        """Return the names that any store has."""
        ...


@dataclass(frozen=True)
class WalAudit:
    """What there is of a cluster's log, and what is missing.

    Attributes:
        cluster: Name in the vault.
        segments: How many whole segments there are.
        newest: By timeline, the newest segment, unfinished ones included.
        gaps: Segments that are missing between others, or where a timeline left its parent.
        needed: Names that points need and that are missing.
        without_history: Timelines that cannot be followed from their parent, for want of their history file.
    """

    cluster: str
    segments: int
    newest: Mapping[int, str]
    gaps: tuple[Gap, ...]
    needed: tuple[str, ...] = ()
    without_history: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return not (self.gaps or self.needed or self.without_history)

    def damage(self) -> CofferError | None:
        """Return what is wrong as an error: IntegrityError (13), or NotThere (16) where there is no log at all."""
        if not self.segments and not self.newest:
            return NotThere(f"There is no WAL of {self.cluster}", resolution="Is that the cluster's name in the vault?")
        if self.ok:
            return None
        return IntegrityError(
            f"The log of {self.cluster} is not whole", detail="; ".join(self.lines()),
            resolution="Take a full point now: what it needs begins after the gap",
        )  # fmt: skip

    def lines(self) -> list[str]:
        """Return what is missing, for people."""
        return [
            *(f"timeline {gap.timeline}: {gap} missing" for gap in self.gaps),
            *(f"a point needs {name}" for name in self.needed),
            *(f"timeline {number} has no history file" for number in self.without_history),
        ]

    def as_dict(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return {
            "cluster": self.cluster,
            "ok": self.ok and bool(self.newest),
            "segments": self.segments,
            "newest": [self.newest[timeline] for timeline in sorted(self.newest)],
            "gaps": [{"timeline": gap.timeline, "first": gap.first, "last": gap.last} for gap in self.gaps],
            "needed": list(self.needed),
            "without_history": list(self.without_history),
        }


def audit_wal(
    vault: WalNames, cluster: str, *, segment_size: int = SEGMENT_SIZE, facts: Iterable[Mapping[str, Fact]] = ()
) -> WalAudit:
    """Look for what is missing; a reader's audit also follows timelines over their forks.

    Args:
        vault: A reader or a writer of the vault; with a writer, histories are not read.
        cluster: Name of the cluster there.
        segment_size: Bytes of a segment.
        facts: What points of this cluster left: the log they need is looked for by name.

    Raises:
        IntegrityError: A history file is damaged.
        Unreachable: No store answers.
    """
    names = set(vault.wal_names(cluster))
    segments = sorted(Segment.parse(name, segment_size) for name in names if is_segment(name))
    timelines = sorted({segment.timeline for segment in segments} | set(_pieces(names)))
    gaps = find_gaps(names, segment_size)
    for timeline, forks in _histories(vault, cluster, names).items():
        gaps += _gaps_at_fork(timeline, forks[-1], segments, segment_size)
    needed = sorted({name for each in facts for name in needed_names(each)} - names)
    histories = {int(name[:8], 16) for name in names if is_history(name)}
    return WalAudit(
        cluster=cluster,
        segments=len(segments),
        newest=_newest(segments) | _pieces(names),
        gaps=tuple(sorted(set(gaps), key=lambda gap: (gap.timeline, gap.first))),
        needed=tuple(needed),
        without_history=tuple(timeline for timeline in timelines if timeline > 1 and timeline not in histories),
    )


def _histories(vault: WalNames, cluster: str, names: Collection[str]) -> dict[int, list[Fork]]:
    read: Callable[[str, str], bytes] | None = getattr(vault, "get_wal", None)
    if read is None:
        return {}
    found = {int(name[:8], 16): parse_history(read(cluster, name)) for name in sorted(filter(is_history, names))}
    return {timeline: forks for timeline, forks in found.items() if forks}


def _gaps_at_fork(timeline: int, fork: Fork, segments: list[Segment], size: int) -> list[Gap]:
    """Return what is missing right before a timeline left its parent, and right after."""
    at = fork.position // size
    gaps = []
    parent = [each.number for each in segments if each.timeline == fork.timeline and each.number < at]
    if parent and parent[-1] < at - 1:
        gaps.append(_gap(fork.timeline, parent[-1] + 1, at - 1, size))
    own = [each.number for each in segments if each.timeline == timeline]
    if own and own[0] > at:
        gaps.append(_gap(timeline, at, own[0] - 1, size))
    return gaps


def _gap(timeline: int, first: int, last: int, size: int) -> Gap:
    return Gap(timeline, Segment(timeline, first, size).name, Segment(timeline, last, size).name)


def _newest(segments: list[Segment]) -> dict[int, str]:
    return {segment.timeline: segment.name for segment in segments}


def _pieces(names: Collection[str]) -> dict[int, str]:
    """Return the unfinished segment of each timeline that has one beyond its whole ones."""
    whole = max(filter(is_segment, names), default="")
    found: dict[int, str] = {}
    for piece in sorted((piece for name in names if (piece := Piece.parse(name))), key=lambda piece: piece.segment):
        timeline = int(piece.segment[:8], 16)
        if piece.segment not in names and piece.segment > max(whole if whole[:8] == piece.segment[:8] else "", ""):
            found[timeline] = piece.segment
    return found


class PeriodicAudit:
    """Audits beside other work, and says each finding once.

    Args:
        vault: A reader or a writer of the vault.
        cluster: Name of the cluster there.
        log: Takes lines for people.
        every: Seconds between two audits.
        segment_size: Bytes of a segment.
    """

    def __init__(
        self, vault: WalNames, cluster: str, log: Callable[[str], None], *, every: float, segment_size: int
    ) -> None:
        self._vault, self._cluster, self._log, self._every, self._size = vault, cluster, log, every, segment_size
        self._next = time.monotonic() + every
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()

    def tick(self) -> None:
        """Begin an audit if it is time and the one before has ended."""
        if time.monotonic() >= self._next and not (self._thread and self._thread.is_alive()):
            self._next = time.monotonic() + self._every
            self._thread = threading.Thread(target=self._look, name="wal-audit", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        try:
            lines = audit_wal(self._vault, self._cluster, segment_size=self._size).lines()
        except CofferError as error:
            lines = [str(error)]
        for line in lines:
            if line not in self._said:
                self._log(f"the log of {self._cluster} is not whole: {line}")
        self._said = set(lines)
