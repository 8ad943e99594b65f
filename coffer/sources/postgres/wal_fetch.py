"""Answers PostgreSQL's restore_command without ever letting it promote with data missing.

PostgreSQL reads "not there" as "the log ends here" and opens for business. So that answer is given only when it is
proven: every store said so, and nothing in the archive comes after.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.sources.postgres.wal import (
    SEGMENT_SIZE,
    Fork,
    Piece,
    Segment,
    covering,
    history_name,
    is_archive_name,
    is_history,
    is_segment,
    parse_history,
)
from coffer.sources.postgres.wal_archive import WalReader, check_segment
from coffer.vault.capture import Buffer

_IS_SYSTEM = re.compile(r"[0-9]{16,20}")


class PastTheEnd(NotThere):
    """Proven: the log ends before this, or there is no such file. Nothing else may be told PostgreSQL as absent."""


class WalFetcher:
    """The archive of one cluster, for reading.

    Args:
        archive: Where the log is.
        cluster: Name of the cluster in the archive.
        system: Identifier that every segment must carry; default: what the first one carries.
        segment_size: Bytes of a segment.
        version: PostgreSQL's major version, where known.
    """

    def __init__(
        self,
        archive: WalReader,
        cluster: str,
        *,
        system: str | None = None,
        segment_size: int = SEGMENT_SIZE,
        version: int | None = None,
    ) -> None:
        self._archive, self._cluster, self._size, self._version = archive, cluster, segment_size, version
        self._system = system or (cluster if _IS_SYSTEM.fullmatch(cluster) else None)

    def fetch(self, name: str, destination: Path) -> None:
        """Bring a file that PostgreSQL asks for.

        A segment of which only the first pieces were shipped is given when it is the last: zeros fill it up, and
        PostgreSQL takes the first of them for the end of the log.

        Raises:
            PastTheEnd: Proven to be past the end.
            IntegrityError: There is a hole, or bytes are not what was written.
            CofferError: Anything else; the log's end is not known.
        """
        write_durably(destination, self.read(name))

    def read(self, name: str) -> bytes:
        """Return the content of a file; raises as `fetch` does."""
        if not is_archive_name(name):
            raise UsageError(f"'{name}' is no file of the log")
        try:
            return self.read_whole(name)
        except NotThere as error:
            names = set(self._archive.wal_names(self._cluster, every_store=True))
            if name in names:
                raise IntegrityError(f"WAL {name} is listed but cannot be read", detail=str(error)) from error
            if not is_segment(name):
                raise PastTheEnd(f"there is no {name}") from error
            return self._past_the_end(Segment.parse(name, self._size), names)

    def read_whole(self, name: str) -> bytes:
        """Return a file that the archive has under its own name.

        Raises:
            NotThere: Every store says that it has none; that says nothing yet of the log's end.
            CofferError: As `read` does.
        """
        data = self._archive.get_wal(self._cluster, name)
        if is_segment(name):
            if len(data) != self._size:
                raise IntegrityError(f"WAL segment {name} has another size", detail=f"{len(data)} bytes")
            self._check(Segment.parse(name, self._size), data)
        return data

    def _check(self, segment: Segment, data: Buffer) -> None:
        header = check_segment(segment, data, self._system, version=self._version)
        self._system, self._version = header.system, self._version or header.version

    def _past_the_end(self, segment: Segment, names: Collection[str]) -> bytes:
        if self._before_its_timeline(segment, names):
            raise PastTheEnd(f"timeline {segment.timeline} begins after {segment.name}")
        later = first_after(segment, names)
        if later:
            raise IntegrityError(
                f"WAL segment {segment.name} is missing", detail=f"the archive goes on with {later}", resolution=_HOLE
            )
        pieces = covering(names, segment.name)
        if pieces:
            return self._join(segment, pieces)
        heir = self._descendant_beyond(segment, names)
        if heir:
            raise IntegrityError(
                f"WAL segment {segment.name} is missing", detail=f"timeline {heir} goes on from it", resolution=_HOLE
            )
        raise PastTheEnd(f"the log ends before {segment.name}")

    def _before_its_timeline(self, segment: Segment, names: Collection[str]) -> bool:
        """PostgreSQL asks for a segment on the newest timeline first, even where that had not begun."""
        forks = self._forks(segment.timeline, names)
        return bool(forks) and segment.number < forks[-1].position // self._size

    def _descendant_beyond(self, segment: Segment, names: Collection[str]) -> int | None:
        """Return a timeline whose history needs this segment of its ancestor and that goes on after it."""
        for name in sorted(filter(is_history, names)):
            timeline = int(name[:8], 16)
            needs = any(
                fork.timeline == segment.timeline and fork.position > segment.start
                for fork in self._forks(timeline, names)
            )
            if needs and any(_number(other, timeline, self._size) >= segment.number for other in names):
                return timeline
        return None

    def _forks(self, timeline: int, names: Collection[str]) -> list[Fork]:
        name = history_name(timeline)
        return parse_history(self._archive.get_wal(self._cluster, name)) if name in names else []

    def _join(self, segment: Segment, pieces: list[Piece]) -> bytes:
        joined = bytearray(self._size)
        for piece in pieces:
            data = self._archive.get_wal(self._cluster, piece.name)
            if len(data) != piece.end - piece.start:
                raise IntegrityError(f"{piece.name} has another size", detail=f"{len(data)} bytes")
            joined[piece.start : piece.end] = data
        self._check(segment, joined)
        return bytes(joined)


_HOLE = "Look with `coffer wal audit`; name another store, or restore to a moment before the hole"


def first_after(segment: Segment, names: Collection[str]) -> str | None:
    """Return the first name of the same timeline that comes after a segment, pieces included."""
    later = [name for name in names if _number(name, segment.timeline, segment.size) > segment.number]
    return min(later, default=None)


def write_durably(destination: Path, data: bytes) -> None:
    """Write a file so that it is whole or absent, whatever happens.

    Raises:
        UsageError: The folder is missing or may not be written.
    """
    temporary = destination.with_name(f".{destination.name}.coffer-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(destination)
    except OSError as error:
        raise UsageError(f"{destination} cannot be written", detail=error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _number(name: str, timeline: int, size: int) -> int:
    """Return the segment number of a name on a timeline, pieces included; -1 for any other name."""
    piece = Piece.parse(name)
    name = piece.segment if piece else name
    if not is_segment(name):
        return -1
    segment = Segment.parse(name, size)
    return segment.number if segment.timeline == timeline else -1
