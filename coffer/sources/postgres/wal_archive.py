"""What the WAL of one cluster needs of a vault, and what a segment must look like before it goes in or out."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from coffer.errors import IntegrityError, UnsafeTarget
from coffer.sources.postgres.wal import Segment, format_lsn
from coffer.vault.capture import Buffer, Fact

# XLogLongPageHeaderData, the first 40 bytes of every segment (src/include/access/xlog_internal.h).
_HEADER = struct.Struct("<HHIQI4xQII")
_LONG_HEADER = 0x0002
# XLOG_PAGE_MAGIC of each major version, same file.
_VERSIONS = {0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}


class WalWriter(Protocol):
    """Takes the WAL of clusters; each name once."""

    def put_wal(self, cluster: str, segment: str, data: bytes, /, *, facts: Mapping[str, Fact] | None = None) -> object:
        """Write one file durably to every store; the same bytes again are fine, others an IntegrityError."""
        ...

    def wal_names(self, cluster: str, /) -> Collection[str]:
        """Return the names that any store has."""
        ...

    def has_wal(self, cluster: str, segment: str, /) -> Mapping[str, bool]:
        """Tell, for each store that answers, whether it holds a file."""
        ...

    def wal_facts(self, cluster: str, segment: str, /) -> Mapping[str, Fact]:
        """Return what was noted beside a file when it was put."""
        ...


class WalReader(Protocol):
    """Gives the WAL of clusters back."""

    def get_wal(self, cluster: str, segment: str, /) -> bytes:
        """Read one file; NotThere only when every store says so."""
        ...

    def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
        """Return the names that any store has; with `every_store`, Unreachable unless every store answered."""
        ...


@dataclass(frozen=True)
class SegmentHeader:
    """What the first page of a segment says of its cluster.

    Attributes:
        system: Identifier of the cluster, made by initdb; pg_upgrade makes a new one.
        version: Major version of PostgreSQL; 0 where this Coffer does not know the format.
        timeline: Timeline that wrote the first page.
        address: Position of the first byte.
        size: Bytes of a segment.
        is_first_page: Whether it is the first page of a segment at all.
    """

    system: str
    version: int
    timeline: int
    address: int
    size: int
    is_first_page: bool

    @classmethod
    def of(cls, data: Buffer, name: str = "a segment") -> SegmentHeader:
        """Read it.

        Raises:
            IntegrityError: There are not enough bytes.
        """
        if len(data) < _HEADER.size:
            raise IntegrityError(f"WAL segment {name} is too short", detail=f"{len(data)} bytes")
        magic, info, timeline, address, _, system, size, _ = _HEADER.unpack(memoryview(data)[: _HEADER.size])
        return cls(str(system), _VERSIONS.get(magic, 0), timeline, address, size, bool(info & _LONG_HEADER))

    @classmethod
    def of_server(cls, system: int, version: int, size: int) -> SegmentHeader:
        """Return what the segments of a server will say."""
        return cls(str(system), version, 0, 0, size, True)

    def facts(self) -> dict[str, Fact]:
        """Return what is noted beside the segment in an archive."""
        return {"system": self.system, "version": self.version, "segment_size": self.size}


def check_segment(
    segment: Segment, data: Buffer, system: int | str | None, *, version: int | None = None
) -> SegmentHeader:
    """Refuse bytes that are not this segment of this cluster.

    Args:
        segment: What it is said to be.
        data: Its bytes, or the first of them.
        system: The cluster's identifier, where known.
        version: PostgreSQL's major version, where known.

    Raises:
        IntegrityError: It is another segment, or none.
        UnsafeTarget: It is another cluster's, or another version's.
    """
    header = SegmentHeader.of(data, segment.name)
    if not header.is_first_page or header.address != segment.start or header.size != segment.size:
        detail = f"its header says {format_lsn(header.address)}, segments of {header.size} bytes"
        raise IntegrityError(f"{segment.name} holds another piece of WAL", detail=detail)
    # Right after a promotion a segment begins with pages copied from the timeline it left.
    if header.timeline > segment.timeline:
        raise IntegrityError(f"{segment.name} holds WAL of timeline {header.timeline}")
    if system is not None and header.system != str(system):
        raise UnsafeTarget(f"{segment.name} is WAL of another cluster", detail=f"{header.system}, expected {system}")
    if version and header.version and header.version != version:
        raise UnsafeTarget(f"{segment.name} is WAL of PostgreSQL {header.version}", detail=f"expected {version}")
    return header


def segment_system(data: Buffer) -> str:
    """Return the identifier of the cluster that wrote a segment."""
    return SegmentHeader.of(data).system
