"""Writes a source's tree part by part while it is captured: memory holds a few parts, however many names there are."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from coffer.vault import extents, trees
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.parent_tree import ParentPart, ParentTree
from coffer.vault.trees import TreeEntry

_MOST_WAITING = 64
T = TypeVar("T")


class TreeOutput(NamedTuple):
    """Where subtrees go.

    Attributes:
        keys: The vault's index keys.
        numbers: The run's chunks by number.
        listed: Names and sizes of what the base point needs: what may be named again.
        put: Takes a subtree's name and bytes.
        name_again: Takes the name of one that is there already.
        submit: Runs work in a thread.
        flush: Hands over the small pieces that wait, so that their chunk gets its id.
        marked: Names of what a prune is about to sweep: an equal subtree is stored as another object.
        again: What makes it another.
    """

    keys: IndexKeys
    numbers: ChunkNumbers
    listed: dict[str, int]
    put: Callable[[str, bytes], None]
    name_again: Callable[[str], None]
    submit: Callable[[Callable[[], str]], Future[str]]
    flush: Callable[[], None]
    marked: Collection[str] = frozenset()
    again: bytes = b""


class SubtreeWriter:
    """Takes entries in order of path, cuts them into subtrees and stores those that the parent does not have.

    Attributes:
        live: Bytes by chunk number that the entries' extents cover.
    """

    def __init__(self, output: TreeOutput, parent: ParentTree | None) -> None:
        self.live = np.zeros(0, np.int64)
        self._output = output
        self._parent = parent
        self._part: list[TreeEntry] = []
        self._weight = 0
        self._waiting: deque[tuple[int, list[TreeEntry], int]] = deque()
        self._names: list[str | Future[str]] = []

    def add(self, entry: TreeEntry) -> None:
        """Take the next entry."""
        self._part.append(entry)
        self._weight += len(entry.extents)
        if zlib.crc32(entry.path) % trees.CUT_ONE_IN == 0 or self._weight > trees.HEAVIEST:
            self._close()

    @property
    def is_between_parts(self) -> bool:
        """Whether the next entry begins a part."""
        return not self._part

    def share(self, part: ParentPart) -> bool:
        """Take a whole part of the parent's tree, if that may be named again."""
        if part.name not in self._output.listed:
            return False
        self._count_chunks(b"".join([entry.extents for entry in part.entries]))
        self._output.name_again(part.name)
        self._names.append(part.name)
        return True

    def finish(self) -> list[str]:
        """Return the subtrees' names, in order; every chunk has its id by now."""
        self._close()
        self._advance()
        assert not self._waiting, "a chunk was not finished"  # noqa: S101
        return [name if isinstance(name, str) else name.result() for name in self._names]

    def _close(self) -> None:
        if not self._part:
            return
        part, self._part, self._weight = self._part, [], 0
        highest = self._count_chunks(b"".join([entry.extents for entry in part]))
        same = self._parent.same_part(part) if self._parent else None
        if same is not None and same.name in self._output.listed:
            self._output.name_again(same.name)
            self._names.append(same.name)
            return
        self._waiting.append((len(self._names), part, highest))
        self._names.append("")
        self._advance()
        if len(self._waiting) > _MOST_WAITING:
            self._output.flush()

    def _advance(self) -> None:
        """Seal the parts whose chunks all have ids, in threads."""
        while self._waiting and self._output.numbers.are_settled(self._waiting[0][2]):
            place, part, _ = self._waiting.popleft()
            self._names[place] = self._output.submit(lambda part=part: self._store(part))  # type: ignore[misc]

    def _store(self, part: list[TreeEntry]) -> str:
        output = self._output
        tree_id, name, data = trees.seal(output.keys, part, output.numbers)
        there = self._parent.subtrees.get(tree_id) if self._parent else None
        if there is not None and there in output.listed:
            output.name_again(there)
            return there
        if name in output.marked:
            _, name, data = trees.seal(output.keys, part, output.numbers, output.again)
        output.put(name, data)
        return name

    def _count_chunks(self, data: bytes) -> int:
        """Count the bytes that extents cover of each chunk; return the highest chunk's number, or -1."""
        every = extents.from_bytes(data)
        used = every[every["chunk"] != extents.HOLE]
        if not len(used):
            return -1
        highest = int(used["chunk"].max())
        if highest >= self.live.size:
            self.live = _grown(self.live, max(highest + 1, 2 * self.live.size))
        np.add.at(self.live, used["chunk"], used["length"])
        return highest


def _grown(array: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    grown = np.zeros(size, np.int64)
    grown[: array.size] = array
    return grown
