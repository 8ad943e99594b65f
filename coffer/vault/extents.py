"""Which bytes of which chunk make up a file, as arrays: nothing here runs once a byte or once a page.

An extent is (chunk, offset in it, length); a file is its extents end to end. The chunk HOLE stands for zeros.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TypeAlias

from coffer.vault.numeric import NDArray, np

ITEM_SIZE = 12
"""Bytes of an extent."""
HOLE = 0xFFFFFFFF
LARGEST = 1 << 30
_SINGLE = struct.Struct("<III")
Extents: TypeAlias = "NDArray[np.void]"


@cache
def dtype() -> np.dtype[np.void]:
    """Return what an extent is to NumPy."""
    return np.dtype([("chunk", "<u4"), ("offset", "<u4"), ("length", "<u4")])


def empty() -> Extents:
    """Return the extents of an empty file."""
    return np.empty(0, dtype())


def single(chunk: int, offset: int, length: int) -> bytes:
    """Return one extent as bytes; cheaper than an array of one."""
    return _SINGLE.pack(chunk, offset, length)


def from_bytes(data: bytes) -> Extents:
    """Return extents from their bytes (12 each, little-endian)."""
    return np.frombuffer(data, dtype())


def chunks_of(data: bytes) -> NDArray[np.uint32]:
    """Return the chunks that extents use, ascending, each once."""
    every = from_bytes(data)["chunk"]
    used: NDArray[np.uint32] = np.unique(every[every != HOLE])
    return used


def hole(length: int) -> Extents:
    """Return extents of zeros; long ones are cut so that lengths fit 32 bits."""
    lengths = np.full(-(-length // LARGEST), LARGEST, np.int64)
    if length % LARGEST:
        lengths[-1] = length % LARGEST
    return build(np.full(lengths.size, HOLE), np.zeros(lengths.size), lengths)


def build(chunk: NDArray[np.generic], offset: NDArray[np.generic], length: NDArray[np.generic]) -> Extents:
    """Return extents from three columns."""
    extents = np.empty(len(chunk), dtype())
    extents["chunk"], extents["offset"], extents["length"] = chunk, offset, length
    return extents


def size(extents: Extents) -> int:
    """Return how many bytes extents cover."""
    return int(extents["length"].sum(dtype=np.int64))


def overlay(base: Extents, file_size: int, starts: NDArray[np.int64], patches: Extents) -> Extents:
    """Lay patches over a file's extents.

    Args:
        base: The file as it was.
        file_size: Its new size; what neither base nor patches cover is zeros.
        starts: Ascending offsets in the file at which the patches stand; they must not overlap.
        patches: What stands there.
    """
    base_starts, base_ends = _bounds(base)
    ends = starts + patches["length"].astype(np.int64)
    holes = np.arange(0, file_size, LARGEST, dtype=np.int64)  # so that no length outgrows 32 bits
    cuts = np.unique(np.concatenate((base_starts, base_ends, starts, ends, holes, np.array([0, file_size]))))
    cuts = cuts[cuts <= file_size]
    begin, length = cuts[:-1], np.diff(cuts)
    result = build(np.full(begin.size, HOLE), np.zeros(begin.size), length)
    _fill(result, begin, base, base_starts, base_ends)
    _fill(result, begin, patches, starts, ends)
    return join(result)


def join(extents: Extents) -> Extents:
    """Join neighbours that continue each other in the same chunk, or are both holes."""
    if len(extents) < 2:
        return extents
    chunk, offset, length = (extents[name].astype(np.int64) for name in ("chunk", "offset", "length"))
    same = chunk[1:] == chunk[:-1]
    follows = np.where(chunk[1:] == HOLE, True, offset[1:] == offset[:-1] + length[:-1])
    first = np.flatnonzero(np.concatenate(([True], ~(same & follows))))
    lengths = np.add.reduceat(length, first)
    if lengths.max() > LARGEST:
        return extents
    return build(chunk[first], offset[first], lengths)


def pages_in(extents: Extents, chunks: NDArray[np.uint32], page_size: int) -> NDArray[np.uint32]:
    """Return the pages of a file, ascending, that lie in some chunks in whole or in part."""
    starts, ends = _bounds(extents)
    chosen = np.isin(extents["chunk"], chunks)
    first, beyond = starts[chosen] // page_size, -(-ends[chosen] // page_size)
    counts = beyond - first
    offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    pages: NDArray[np.uint32] = np.unique(np.repeat(first, counts) + offsets).astype(np.uint32)
    return pages


def _bounds(extents: Extents) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ends = np.cumsum(extents["length"].astype(np.int64))
    return ends - extents["length"], ends


def _fill(
    result: Extents, begin: NDArray[np.int64], source: Extents, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> None:
    """Point those pieces that lie in a source's extents at them; every piece lies in one or in none."""
    if not len(source):
        return
    which = np.searchsorted(starts, begin, side="right") - 1
    inside = (which >= 0) & (begin < ends[which])
    chosen = which[inside]
    chunk = source["chunk"][chosen]
    shift = begin[inside] - starts[chosen]
    result["chunk"][inside] = chunk
    result["offset"][inside] = np.where(chunk == HOLE, 0, source["offset"][chosen] + shift)
