"""Writes a source's tree part by part while it is captured: memory holds a few parts, however many names there are."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from coffer.vault import extents, trees
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.looks import ends_run, hash_of
from coffer.vault.numeric import NDArray, np
from coffer.vault.parent_tree import ParentTree
from coffer.vault.read_ahead import ahead
from coffer.vault.trees import TreeEntry

_MOST_WAITING = 64
_TYPE_BITS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
Part = tuple[str, bytes]
"""A subtree's name, and the hash of what the file system says of its names, or nothing."""


class TreeOutput(NamedTuple):
    """Where subtrees go.

    Attributes:
        keys: The vault's index keys.
        numbers: The run's chunks by number.
        listed: Names and sizes of what the base point needs: what may be named again.
        put: Takes a subtree's name and bytes.
        name_again: Takes the name of one that is there already.
        submit: Runs work in a thread.
        read: Reads an object and compares it with its name.
        flush: Hands over the small pieces that wait, so that their chunk gets its id.
        marked: Names of what a prune is about to sweep: an equal subtree is stored as another object.
        again: What makes it another.
    """

    keys: IndexKeys
    numbers: ChunkNumbers
    listed: dict[str, int]
    put: Callable[[str, bytes], None]
    name_again: Callable[[str], None]
    submit: Callable[[Callable[[], Part]], Future[Part]]
    read: Callable[[str], bytes]
    flush: Callable[[], None]
    marked: Collection[str] = frozenset()
    again: bytes = b""


class SubtreeWriter:
    """Takes entries in order of path, cuts them into subtrees and stores those that the parent does not have."""

    def __init__(self, output: TreeOutput, parent: ParentTree | None) -> None:
        self._live: NDArray[np.int64] | None = None
        self._output = output
        self._parent = parent
        self._part: list[TreeEntry] = []
        self._weight = 0
        self._waiting: deque[tuple[int, list[TreeEntry], int]] = deque()
        self._parts: list[Part | Future[Part]] = []
        self._unread: list[int] = []

    def add(self, entry: TreeEntry) -> None:
        """Take the next entry."""
        self._part.append(entry)
        self._weight += len(entry.extents)
        if ends_run(entry.path) or self._weight > trees.HEAVIEST:
            self._close()

    def known_runs(self) -> dict[bytes, int]:
        """Return which parts of the parent's tree may be shared unread; see `ParentTree.runs`."""
        return self._parent.runs(self._output.listed) if self._parent else {}

    def share(self, at: int, look: bytes) -> None:
        """Take a whole part of the parent's tree; it is compared with its name, but not opened."""
        assert self._parent is not None  # noqa: S101 - the part is its
        self._close()  # where the last name of the run before vanished, its part ends early
        name = self._parent.name_of(at)
        self._output.name_again(name)
        self._unread.append(at)
        self._parts.append(self._output.submit(lambda: (self._output.read(name) and name, look)))  # type: ignore[arg-type,return-value]

    @property
    def live(self) -> NDArray[np.int64]:
        """Bytes by chunk number that the entries' extents cover, as far as they were counted."""
        return np.zeros(0, np.int64) if self._live is None else self._live

    def finish(self) -> list[Part]:
        """Return the subtrees in order; every chunk has its id by now."""
        self._close()
        self._advance()
        assert not self._waiting, "a chunk was not finished"  # noqa: S101
        return [part if isinstance(part, tuple) else part.result() for part in self._parts]

    def count_shared(self) -> None:
        """Count what the parts use that were shared unread."""
        unread, self._unread = self._unread, []
        if self._parent is not None:
            for part in ahead(self._parent.read_part, unread):
                self._count_chunks(b"".join([entry.extents for entry in part.entries]))

    def _close(self) -> None:
        if not self._part:
            return
        part, self._part, self._weight = self._part, [], 0
        highest = self._count_chunks(b"".join([entry.extents for entry in part]))
        same = self._parent.same_part(part) if self._parent else None
        if same is not None and same.name in self._output.listed:
            self._output.name_again(same.name)
            self._parts.append((same.name, same.look))
            return
        self._waiting.append((len(self._parts), part, highest))
        self._parts.append(("", b""))
        self._advance()
        if len(self._waiting) > _MOST_WAITING:
            self._output.flush()

    def _advance(self) -> None:
        """Seal the parts whose chunks all have ids, in threads."""
        while self._waiting and self._output.numbers.are_settled(self._waiting[0][2]):
            place, part, _ = self._waiting.popleft()
            self._parts[place] = self._output.submit(lambda part=part: self._store(part))  # type: ignore[misc]

    def _store(self, part: list[TreeEntry]) -> Part:
        output, look = self._output, look_of(part)
        tree_id, name, data = trees.seal(output.keys, part, output.numbers)
        there = self._parent.subtrees.get(tree_id) if self._parent else None
        if there is not None and there in output.listed:
            output.name_again(there)
            return there, look
        if name in output.marked:
            _, name, data = trees.seal(output.keys, part, output.numbers, output.again)
        output.put(name, data)
        return name, look

    def _count_chunks(self, data: bytes) -> int:
        """Count the bytes that extents cover of each chunk; return the highest chunk's number, or -1."""
        every = extents.from_bytes(data)
        used = every[every["chunk"] != extents.HOLE]
        if not len(used):
            return -1
        highest = int(used["chunk"].max())
        live = self.live
        if highest >= live.size:
            live = self._live = _grown(live, max(highest + 1, 2 * live.size))
        np.add.at(live, used["chunk"], used["length"])
        return highest


def look_of(entries: Sequence[TreeEntry]) -> bytes:
    """Return the hash of what the file system said of names, or nothing where that cannot stand for them."""
    if any(entry.link or not entry.ctime_ns for entry in entries):
        return b""
    bits = _TYPE_BITS
    return hash_of([(e.path, e.mode | bits[e.type], e.uid, e.gid, e.size, e.mtime_ns, e.ctime_ns) for e in entries])


def _grown(array: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    grown = np.zeros(size, np.int64)
    grown[: array.size] = array
    return grown
