"""A source in an earlier point, as a writer sees it: names, page maps and facts, read when they are asked for."""

from __future__ import annotations

import operator
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from coffer.errors import IntegrityError
from coffer.vault import extents, trees
from coffer.vault.capture import PAGE_SIZE, EntryType, Fact, Look, StoredEntry
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.points import SourceRecord
from coffer.vault.read_ahead import ahead
from coffer.vault.store_set import StoreSet
from coffer.vault.trees import TreeEntry

_FILE = trees.type_number(EntryType.FILE)
_TYPE_BITS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class ParentPart(msgspec.Struct, frozen=True, gc=False):
    """One of its subtrees.

    Attributes:
        name: The object.
        entries: Its entries, with their extents in the run's numbers.
        used: Numbers of the chunks that they use.
        renewed: Some of those are to be stored anew, so the subtree cannot be shared.
    """

    name: str
    entries: list[TreeEntry]
    used: NDArray[np.uint32]
    renewed: bool

    def looks(self) -> list[Look] | None:
        """Return what a file system would have to say, 7 values an entry, or None where no look tells enough."""
        if self.renewed or any(entry.link or not entry.ctime_ns for entry in self.entries):
            return None
        return [
            (e.path, e.mode | _TYPE_BITS[e.type], e.uid, e.gid, e.size, e.mtime_ns, e.ctime_ns) for e in self.entries
        ]


class ParentTree:
    """A source in an earlier point; see `capture.Parent`.

    It is read whole at the first question, or, after `in_order`, part by part as ascending paths are asked for.

    Attributes:
        subtrees: Its subtrees' names by id: what a new tree may share.
        live: Bytes of content in its files, holes left out.
    """

    def __init__(
        self, stores: StoreSet, keys: IndexKeys, record: SourceRecord, numbers: ChunkNumbers, renew: frozenset[bytes]
    ) -> None:
        self.subtrees = {bytes.fromhex(each.split("/")[-1][:32]): each for each in record.trees}
        self._stores = stores
        self._keys = keys
        self._record = record
        self._numbers = numbers
        self._renew = renew
        self._ordered = False
        self._parts: Iterator[ParentPart] | None = None
        self._recent: deque[ParentPart] = deque()
        self._entries: Sequence[TreeEntry] = ()
        self._at = 0
        self._by_path: dict[bytes, TreeEntry] | None = None

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Facts which that capture finished with."""
        return self._record.facts

    def entry(self, path: bytes) -> StoredEntry | None:
        """Return what stood at a path, or None."""
        found = self.find(path)
        return found.stored() if found else None

    def size_of(self, path: bytes) -> int | None:
        """Return the size of a file, or None if no file stood there."""
        found = self.find(path)
        return found.size if found is not None and found.type == _FILE else None

    def worn_pages(self, path: bytes) -> NDArray[np.uint32]:
        """Return those pages of a file that lie in chunks that are to be stored anew."""
        found = self.find(path) if self._renew else None
        if found is None:
            return np.empty(0, np.uint32)
        every = extents.from_bytes(found.extents)
        used = np.unique(every["chunk"][every["chunk"] != extents.HOLE])
        worn = [number for number in used.tolist() if self._numbers.id(number) in self._renew]
        return extents.pages_in(every, np.array(worn, np.uint32), PAGE_SIZE)

    def in_order(self) -> None:
        """Promise to ask for ascending paths only."""
        self._ordered = True

    def find(self, path: bytes) -> TreeEntry | None:
        """Return the entry at a path, or None."""
        if not self._ordered:
            if self._by_path is None:
                self._by_path = {entry.path: entry for part in self._read() for entry in part.entries}
            return self._by_path.get(path)
        while self._at < len(self._entries) or self._next_part():
            entry = self._entries[self._at]
            if entry.path >= path:
                return entry if entry.path == path else None
            self._at += 1
        return None

    def same_part(self, entries: Sequence[TreeEntry]) -> ParentPart | None:
        """Return the subtree that consists of just these entries, the very objects that `find` gave."""
        while self._recent and self._recent[0].entries[-1].path < entries[0].path:
            self._recent.popleft()
        for part in self._recent:
            if len(part.entries) == len(entries) and all(map(operator.is_, part.entries, entries)):
                return None if part.renewed else part
        return None

    def next_part(self, path: bytes) -> ParentPart | None:
        """Return the part that begins with just this path, if it comes next."""
        return self._recent[-1] if self.find(path) is not None and not self._at else None

    def pass_over(self, part: ParentPart) -> None:
        """Go on behind a part that `next_part` gave."""
        self._at = len(part.entries)
        self._recent.clear()

    def _next_part(self) -> bool:
        if self._parts is None:
            self._parts = self._read()
        part = next(self._parts, None)
        if part is None:
            return False
        self._recent.append(part)
        self._entries, self._at = part.entries, 0
        return True

    def _read(self) -> Iterator[ParentPart]:
        last = b""
        for name, data in zip(self._record.trees, ahead(self._stores.read_needed, self._record.trees), strict=True):
            part = self._open(name, data)
            if part.entries and part.entries[0].path <= last:
                raise IntegrityError("A point's paths are out of order", detail=f"{part.entries[0].path!r} in {name}")
            if part.entries:
                last = part.entries[-1].path
                yield part

    def _open(self, name: str, data: bytes) -> ParentPart:
        entries = trees.open_subtree(self._keys, name, data, self._numbers)
        used = extents.chunks_of(b"".join([entry.extents for entry in entries]))
        renew = [number for number in used.tolist() if self._numbers.id(number) in self._renew] if self._renew else []
        if renew:
            for entry in entries:
                if np.isin(extents.from_bytes(entry.extents)["chunk"], renew).any():
                    entry.ctime_ns, entry.hash = 0, b""  # not to be believed: so its source reads it again
        return ParentPart(name, entries, used, bool(renew))
