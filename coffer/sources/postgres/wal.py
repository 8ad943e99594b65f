"""Arithmetic of the write-ahead log: positions, segments, names, histories, gaps. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coffer.errors import IntegrityError, UsageError

SEGMENT_SIZE = 16 * 1024 * 1024
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_PIECE = re.compile(r"([0-9A-F]{24})\.partial-([0-9]{10})([0-9]{10})")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_BACKUP = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int:
    """Return the byte position of a `16/B374D848`.

    Raises:
        UsageError: It is no LSN.
    """
    match = _LSN.fullmatch(text.strip())
    if not match:
        raise UsageError(f"'{text}' is no LSN", resolution="Write it as 16/B374D848")
    return int(match[1], 16) << 32 | int(match[2], 16)


def format_lsn(position: int) -> str:
    """Return a position as PostgreSQL prints it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the log.

    Attributes:
        timeline: Its timeline.
        number: Which one since the beginning, counting from 0.
        size: Bytes of each segment in this cluster.
    """

    timeline: int
    number: int
    size: int = SEGMENT_SIZE

    @classmethod
    def at(cls, timeline: int, position: int, size: int = SEGMENT_SIZE) -> Segment:
        """Return the segment that holds the byte at a position."""
        return cls(timeline, position // size, size)

    @classmethod
    def parse(cls, name: str, size: int = SEGMENT_SIZE) -> Segment:
        """Read a segment's name.

        Raises:
            UsageError: It is no segment's name.
        """
        match = _SEGMENT.fullmatch(name)
        if not match:
            raise UsageError(f"'{name}' is no WAL segment")
        timeline, high, low = (int(part, 16) for part in match.groups())
        return cls(timeline, high * (2**32 // size) + low, size)

    @property
    def name(self) -> str:
        """Name of the file in pg_wal."""
        per_id = 2**32 // self.size
        return f"{self.timeline:08X}{self.number // per_id:08X}{self.number % per_id:08X}"

    @property
    def start(self) -> int:
        """Position of its first byte."""
        return self.number * self.size

    @property
    def end(self) -> int:
        """Position after its last byte."""
        return self.start + self.size

    def next(self) -> Segment:
        """Return the one after it on the same timeline."""
        return Segment(self.timeline, self.number + 1, self.size)


def is_segment(name: str) -> bool:
    """Tell a whole segment's name from any other."""
    return _SEGMENT.fullmatch(name) is not None


def is_history(name: str) -> bool:
    """Tell a timeline history file's name from any other."""
    return _HISTORY.fullmatch(name) is not None


def is_archive_name(name: str) -> bool:
    """Tell whether PostgreSQL could ask an archive for a file of this name."""
    return is_segment(name) or is_history(name) or _BACKUP.fullmatch(name) is not None


def history_name(timeline: int) -> str:
    """Return the name of a timeline's history file."""
    return f"{timeline:08X}.history"


@dataclass(frozen=True)
class Piece:
    """A part of a segment that was still being written when it was archived.

    An archive never writes a name twice, so the growing segment is kept in pieces.

    Attributes:
        segment: Name of the segment.
        start: Offset of the first byte in the segment.
        end: Offset after the last.
    """

    segment: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """Name in the archive."""
        return f"{self.segment}.partial-{self.start:010d}{self.end:010d}"

    @classmethod
    def parse(cls, name: str) -> Piece | None:
        """Read a piece's name; None for any other name."""
        match = _PIECE.fullmatch(name)
        return cls(match[1], int(match[2]), int(match[3])) if match else None


def covering(names: Iterable[str], segment: str) -> list[Piece]:
    """Return the fewest pieces that hold a segment's bytes from its beginning without a hole, in order."""
    pieces = [piece for name in names if (piece := Piece.parse(name)) and piece.segment == segment]
    chain: list[Piece] = []
    covered = 0
    while reach := [piece for piece in pieces if piece.start <= covered < piece.end]:
        chain.append(max(reach, key=lambda piece: piece.end))
        covered = chain[-1].end
    return chain


def segments_between(timeline: int, start: int, stop: int, size: int = SEGMENT_SIZE) -> Iterator[Segment]:
    """Yield the segments that hold the bytes from `start` up to, not including, `stop`."""
    segment = Segment.at(timeline, start, size)
    while segment.start < stop or segment.number == start // size:
        yield segment
        segment = segment.next()


@dataclass(frozen=True)
class Fork:
    """Where a timeline left its parent.

    Attributes:
        timeline: The parent.
        position: Up to here the parent's log belongs to the child's history.
    """

    timeline: int
    position: int


def parse_history(content: bytes) -> list[Fork]:
    """Read a timeline history file, oldest first.

    Raises:
        IntegrityError: A line is not as PostgreSQL writes it.
    """
    forks = []
    for line in content.decode(errors="replace").splitlines():
        words = line.split("#")[0].split(None, 2)
        if not words:
            continue
        try:
            forks.append(Fork(int(words[0]), parse_lsn(words[1])))
        except (IndexError, ValueError, UsageError):
            raise IntegrityError("a timeline history file is damaged", detail=line) from None
    return forks


@dataclass(frozen=True)
class Gap:
    """Segments that are missing between two that are there.

    Attributes:
        timeline: Of which timeline.
        first: First missing.
        last: Last missing.
    """

    timeline: int
    first: str
    last: str

    def __str__(self) -> str:
        """Return it for people."""
        return self.first if self.first == self.last else f"{self.first} … {self.last}"


def find_gaps(names: Iterable[str], size: int = SEGMENT_SIZE) -> list[Gap]:
    """Return every gap of every timeline in a list of archived names."""
    by_timeline: dict[int, list[Segment]] = {}
    for segment in sorted({Segment.parse(name, size) for name in names if is_segment(name)}):
        by_timeline.setdefault(segment.timeline, []).append(segment)
    gaps = []
    for timeline, segments in by_timeline.items():
        for before, after in itertools.pairwise(segments):
            if after.number != before.number + 1:
                last = Segment(timeline, after.number - 1, size)
                gaps.append(Gap(timeline, before.next().name, last.name))
    return gaps
