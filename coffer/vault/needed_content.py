"""Which chunks points are made of, gathered from their indexes and subtrees: what reading back has to open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from coffer.errors import IntegrityError
from coffer.vault import chunk_index, extents, names, trees
from coffer.vault.chunk_index import Location, PackRecord, row_type
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np
from coffer.vault.points import Manifest
from coffer.vault.tree_order import SubtreeFacts, TreeOrder, look_at
from coffer.vault.trees import TreeEntry

Rows: TypeAlias = "NDArray[np.void]"


@dataclass(frozen=True)
class _Used:
    """What a subtree uses.

    Attributes:
        ids: Chunk ids, end to end.
        ends: How far into each chunk its files reach.
        facts: What the subtrees beside it must be compared with.
    """

    ids: bytes
    ends: NDArray[np.int64]
    facts: SubtreeFacts


class NeededContent:
    """Takes in indexes and subtrees, each once however many points share it; then tells what packs must hold."""

    def __init__(self, keys: IndexKeys) -> None:
        self._keys = keys
        self._segments: dict[str, tuple[list[PackRecord], Rows]] = {}
        self._trees: dict[str, _Used] = {}
        self._packs: dict[str, tuple[PackRecord, Rows]] = {}

    def takes(self, name: str) -> bool:
        """Tell whether an object is one to take in, and was not yet."""
        if name.startswith(f"{names.INDEX}/"):
            return name not in self._segments
        return name.startswith(f"{names.TREES}/") and name not in self._trees

    def take(self, name: str, data: bytes) -> None:
        """Open an index or a subtree.

        Raises:
            IntegrityError: It is not genuine.
        """
        if name.startswith(f"{names.INDEX}/"):
            self._segments[name] = chunk_index.open_rows(self._keys, name, data)
            return
        numbers = ChunkNumbers()
        entries = trees.open_subtree(self._keys, name, data, numbers)
        self._trees[name] = _used(entries, numbers, name)

    def need(self, manifest: Manifest) -> list[PackRecord]:
        """Take in a point whose indexes and subtrees were taken in; return the packs that it needs.

        Raises:
            IntegrityError: Some of them were not, or name what is not there.
        """
        table = ChunkTable.of([self._known(name) for name in manifest.index])
        rows = [table.numbers(self._subtree(name, table).ids) for source in manifest.sources for name in source.trees]
        for source in manifest.sources:
            order = TreeOrder()
            for name in source.trees:
                order.follow(self._trees[name].facts, name)
        used = table.rows[np.unique(np.concatenate(rows))] if rows else np.empty(0, row_type())
        used = used[np.argsort(used["pack"], kind="stable")]
        needed, starts = np.unique(used["pack"], return_index=True)
        mine = [table.packs[number] for number in needed.tolist()]
        for pack, of_pack in zip(mine, np.split(used, starts[1:]), strict=False):
            self._add(pack, of_pack)
        return mine

    def packs(self) -> Mapping[str, tuple[PackRecord, Rows]]:
        """Return the packs that any point needs, and those of their chunks that one does, by offset."""
        return self._packs

    def _add(self, pack: PackRecord, rows: Rows) -> None:
        if pack.name in self._packs:
            rows = np.concatenate((self._packs[pack.name][1], rows))
        _, first = np.unique(rows["offset"], return_index=True)
        self._packs[pack.name] = (pack, rows[first])

    def _known(self, name: str) -> tuple[list[PackRecord], Rows]:
        if name not in self._segments:
            raise IntegrityError("An index that a point needs is nowhere what was written", detail=name)
        return self._segments[name]

    def _subtree(self, name: str, table: ChunkTable) -> _Used:
        used = self._trees.get(name)
        if used is None:
            raise IntegrityError("A subtree that a point needs is nowhere what was written", detail=name)
        if np.any(used.ends > table.rows["size"][table.numbers(used.ids)]):
            raise IntegrityError("A file's page map reaches beyond its chunk", detail=name)
        return used


def places(pack: PackRecord, rows: Rows) -> list[tuple[bytes, Location]]:
    """Return rows of one pack as ids and places."""
    ids = [bytes(each) for each in rows["id"]]
    columns = [rows[name].tolist() for name in ("position", "offset", "sealed", "size", "encoding")]
    return [(chunk, Location(pack, *place)) for chunk, place in zip(ids, zip(*columns, strict=True), strict=True)]


def _used(entries: list[TreeEntry], numbers: ChunkNumbers, name: str) -> _Used:
    every = extents.from_bytes(b"".join(entry.extents for entry in entries))
    every = every[every["chunk"] != extents.HOLE]
    chunks, which = np.unique(every["chunk"], return_inverse=True)
    ends = np.zeros(len(chunks), np.int64)
    np.maximum.at(ends, which, every["offset"].astype(np.int64) + every["length"])
    ids = b"".join(numbers.id(number) for number in chunks.tolist())
    return _Used(ids, ends, look_at(entries, name))
