"""Where chunks are: which pack, which place in it. Segments of this table are objects of the vault.

A point names all segments that it needs; a run adds one with what it stored, and folds them when they become many.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import msgspec

from coffer.errors import IntegrityError
from coffer.vault import frames, names
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np

ROW_SIZE = 53
"""Bytes of a row."""


@cache
def row_type() -> np.dtype[np.void]:
    """Return what a row is to NumPy."""
    return np.dtype(
        [
            ("id", "u1", (32,)),
            ("pack", "<u4"),
            ("position", "<u4"),
            ("offset", "<u4"),
            ("sealed", "<u4"),
            ("size", "<u4"),
            ("encoding", "u1"),
        ]
    )


class PackRecord(msgspec.Struct, frozen=True):
    """A pack as an index knows it: enough to read from it without its header."""

    name: str
    size: int
    run: bytes
    wrapped_key: bytes


class Location(NamedTuple):
    """Where a chunk is.

    Attributes:
        pack: Its pack.
        position: Its number in the pack; also its nonce.
        offset: Of its sealed bytes in the pack.
        sealed: Number of sealed bytes.
        size: Bytes of content.
        encoding: STORED or ZSTD.
    """

    pack: PackRecord
    position: int
    offset: int
    sealed: int
    size: int
    encoding: int


class _Segment(msgspec.Struct, frozen=True):
    vault: bytes
    packs: list[PackRecord]
    rows: bytes


def seal(keys: IndexKeys, packs: list[PackRecord], rows: NDArray[np.void]) -> tuple[str, bytes]:
    """Return the name and bytes of a segment: rows, and the packs that they count."""
    body = frames.compress(frames.encode(_Segment(keys.vault, packs, rows.tobytes())))
    object_id = names.new_id()
    bound_to = frames.context(ObjectKind.INDEX, keys.vault, object_id)
    data = frames.header(ObjectKind.INDEX) + keys.tag + frames.seal(keys.records, bound_to, body)
    return names.name_of(names.INDEX, object_id, data), data


def open_segment(keys: IndexKeys, name: str, data: bytes) -> Iterator[tuple[bytes, Location]]:
    """Return the chunks that a segment knows; raises as `open_rows` does."""
    packs, rows = open_rows(keys, name, data)
    return _locations(rows, packs)


def open_rows(keys: IndexKeys, name: str, data: bytes) -> tuple[list[PackRecord], NDArray[np.void]]:
    """Return the chunks that a segment knows as rows, and the packs that those count.

    Raises:
        IntegrityError: It was altered, moved or made by someone else.
    """
    object_id = names.check(name, data).id
    frames.check_header(ObjectKind.INDEX, data, name)
    bound_to = frames.context(ObjectKind.INDEX, keys.vault, object_id)
    mine, sealed = keys.of(data[frames.HEADER_SIZE :], name)
    body = frames.open_sealed(mine.records, bound_to, sealed, name)
    segment = frames.decode(frames.decompress(body, name), _Segment, name)
    if segment.vault != keys.vault or len(segment.rows) % ROW_SIZE:
        raise IntegrityError("An index holds something else", detail=name)
    rows = np.frombuffer(segment.rows, row_type())
    if rows.size and int(rows["pack"].max()) >= len(segment.packs):
        raise IntegrityError("An index names a pack that it does not list", detail=name)
    return segment.packs, rows


def _locations(rows: NDArray[np.void], packs: list[PackRecord]) -> Iterator[tuple[bytes, Location]]:
    ids = rows["id"].tobytes()
    columns = [rows[name].tolist() for name in ("pack", "position", "offset", "sealed", "size", "encoding")]
    for number, (pack, *place) in enumerate(zip(*columns, strict=True)):
        yield ids[32 * number : 32 * number + 32], Location(packs[pack], *place)
