"""What the WAL of one cluster needs of a vault, and what a segment must look like before it goes in or out."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Protocol

from coffer.errors import IntegrityError, UnsafeTarget
from coffer.sources.postgres.wal import Segment, format_lsn
from coffer.vault.capture import Buffer

# XLogLongPageHeaderData, the first 40 bytes of every segment (src/include/access/xlog_internal.h).
_HEADER = struct.Struct("<HHIQI4xQII")
_LONG_HEADER = 0x0002


class WalWriter(Protocol):
    """Takes the WAL of clusters; each name once."""

    def put_wal(self, cluster: str, segment: str, data: bytes, /) -> object:
        """Write one file durably to every store; the same bytes again are fine, others an IntegrityError."""
        ...

    def wal_names(self, cluster: str, /) -> Collection[str]:
        """Return the names that any store has."""
        ...

    def has_wal(self, cluster: str, segment: str, /) -> Mapping[str, bool]:
        """Tell, for each store that answers, whether it holds a file."""
        ...


class WalReader(Protocol):
    """Gives the WAL of clusters back."""

    def get_wal(self, cluster: str, segment: str, /) -> bytes:
        """Read one file; NotThere only when every store says so."""
        ...

    def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
        """Return the names that any store has; with `every_store`, Unreachable unless every store answered."""
        ...


def check_segment(segment: Segment, data: Buffer, system: int | str | None) -> None:
    """Refuse bytes that are not this segment of this cluster.

    Args:
        segment: What it is said to be.
        data: Its bytes, or the first of them.
        system: The cluster's identifier, where known.

    Raises:
        IntegrityError: It is another segment, or none.
        UnsafeTarget: It is another cluster's.
    """
    if len(data) < _HEADER.size:
        raise IntegrityError(f"WAL segment {segment.name} is too short", detail=f"{len(data)} bytes")
    _, info, timeline, address, _, identifier, size, _ = _HEADER.unpack(memoryview(data)[: _HEADER.size])
    if not info & _LONG_HEADER or address != segment.start or size != segment.size:
        detail = f"its header says {format_lsn(address)}, segments of {size} bytes"
        raise IntegrityError(f"{segment.name} holds another piece of WAL", detail=detail)
    # Right after a promotion a segment begins with pages copied from the timeline it left.
    if timeline > segment.timeline:
        raise IntegrityError(f"{segment.name} holds WAL of timeline {timeline}")
    if system is not None and str(identifier) != str(system):
        raise UnsafeTarget(f"{segment.name} is WAL of another cluster", detail=f"{identifier}, expected {system}")


def segment_system(data: Buffer) -> str:
    """Return the identifier of the cluster that wrote a segment."""
    return str(_HEADER.unpack(memoryview(data)[: _HEADER.size])[5])
