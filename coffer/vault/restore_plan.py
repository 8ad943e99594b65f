"""In which order a restore reads: each chunk once, neighbours in a pack together, whatever files they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from coffer.vault import extents
from coffer.vault.chunk_index import PackRecord
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.numeric import NDArray, np
from coffer.vault.trees import TreeEntry

MOST_AT_ONCE = 8 << 20
"""Bytes of one read, unless a single chunk is larger."""
_GAP = 64 << 10
"""Dead bytes between two chunks that are read along rather than asking twice."""
_PIECE = np.dtype([("chunk", "<u4"), ("offset", "<u4"), ("length", "<u4"), ("file", "<u4"), ("at", "<i8")])
Pieces: TypeAlias = "NDArray[np.void]"
"""Which bytes of a chunk go where: chunk, offset in it, length, number of the file, offset in the file."""


@dataclass(frozen=True)
class Fetch:
    """One read of a pack, and what is done with its chunks.

    Attributes:
        pack: The pack.
        begin: Where the read begins.
        length: Bytes to read.
        chunks: Each chunk's number with its pieces.
    """

    pack: PackRecord
    begin: int
    length: int
    chunks: Sequence[tuple[int, Pieces]]


def pieces_of(files: Sequence[TreeEntry]) -> Pieces:
    """Return the pieces of files, holes left out."""
    every = extents.from_bytes(b"".join(entry.extents for entry in files))
    counts = np.fromiter((len(entry.extents) // extents.ITEM_SIZE for entry in files), np.int64, len(files))
    ends = np.cumsum(every["length"].astype(np.int64))
    pieces = np.empty(len(every), _PIECE)
    for column in ("chunk", "offset", "length"):
        pieces[column] = every[column]
    pieces["file"] = np.repeat(np.arange(len(files)), counts)
    before = np.concatenate(([0], ends))
    first = np.concatenate(([0], np.cumsum(counts)))[:-1]
    pieces["at"] = ends - every["length"] - np.repeat(before[first], counts)
    content: Pieces = pieces[pieces["chunk"] != extents.HOLE]
    return content


def fetches(pieces: Pieces, table: ChunkTable) -> Iterator[Fetch]:
    """Yield reads: pack by pack in order of first use, each pack from its beginning to its end."""
    if not len(pieces):
        return
    rows = table.rows[pieces["chunk"]]
    order = np.lexsort((rows["offset"], _by_first_use(rows["pack"])))  # stable: pieces of a chunk stay in file order
    pieces = pieces[order]
    starts = np.flatnonzero(np.concatenate(([True], pieces["chunk"][1:] != pieces["chunk"][:-1])))
    ends = np.append(starts[1:], len(pieces))
    numbers = pieces["chunk"][starts]
    places = table.rows[numbers]
    columns = (numbers, places["pack"], places["offset"], places["sealed"], starts, ends)
    waiting: list[tuple[int, Pieces]] = []
    pack, begin, end = -1, 0, 0
    for number, in_pack, offset, sealed, start, stop in zip(*(each.tolist() for each in columns), strict=True):
        if in_pack != pack or offset - end > _GAP or offset + sealed - begin > MOST_AT_ONCE:
            if waiting:
                yield Fetch(table.packs[pack], begin, end - begin, waiting)
            waiting, pack, begin = [], in_pack, offset
        waiting.append((number, pieces[start:stop]))
        end = offset + sealed
    yield Fetch(table.packs[pack], begin, end - begin, waiting)


def _by_first_use(packs: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return for each row the rank of its pack, in order of first appearance."""
    _, first, which = np.unique(packs, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[which]
