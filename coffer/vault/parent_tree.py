"""A source in an earlier point, as a writer sees it: names, page maps and facts, read when they are asked for."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from coffer.errors import IntegrityError
from coffer.vault import extents, trees
from coffer.vault.capture import PAGE_SIZE, EntryType, Fact, StoredEntry
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.looks import HASH_SIZE
from coffer.vault.numeric import NDArray, np
from coffer.vault.points import SourceRecord
from coffer.vault.read_ahead import ahead
from coffer.vault.store_set import StoreSet
from coffer.vault.trees import TreeEntry
from coffer.vault.upkeep import reads_too_much

_FILE = trees.type_number(EntryType.FILE)

NO_LOOK = bytes(HASH_SIZE)


class ParentPart(msgspec.Struct, frozen=True, gc=False):
    """One of its subtrees.

    Attributes:
        name: The object.
        look: Hash of what the file system says of its names, or empty.
        entries: Its entries, with their extents in the run's numbers.
        used: Numbers of the chunks that they use.
        renewed: Some of those are to be stored anew, so the subtree cannot be shared.
    """

    name: str
    look: bytes
    entries: list[TreeEntry]
    used: NDArray[np.uint32]
    renewed: bool


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
        self._next = 0
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

    @property
    def is_worn(self) -> bool:
        """Whether a restore would read far more than it gives back."""
        return reads_too_much(self._record.reads, self._record.live)

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
                self._by_path = {entry.path: entry for part in self._read(0) for entry in part.entries}
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

    def runs(self, listed: Collection[str]) -> dict[bytes, int]:
        """Return which of its parts may be shared unread: their places by the hash of their names' looks.

        Args:
            listed: Names of the subtrees that may be named again.
        """
        trees = self._record.trees
        found = {self._look(at): at for at, name in enumerate(trees) if name in listed}
        found.pop(b"", None)
        if self._renew and found:
            for part in self._read(0):
                if part.renewed:
                    found.pop(part.look, None)
        return found

    def pass_over(self, at: int) -> None:
        """Go on behind a part."""
        self._next, self._entries, self._at, self._parts = at + 1, (), 0, None
        self._recent.clear()

    def name_of(self, at: int) -> str:
        """Return the subtree that a part is."""
        return self._record.trees[at]

    def read_part(self, at: int) -> ParentPart:
        """Read one part."""
        name = self.name_of(at)
        return self._open(at, self._stores.read_needed(name))

    def _look(self, at: int) -> bytes:
        looks = self._record.looks
        if len(looks) != HASH_SIZE * len(self._record.trees):
            return b""
        look = looks[HASH_SIZE * at : HASH_SIZE * (at + 1)]
        return look if look != NO_LOOK else b""

    def _next_part(self) -> bool:
        if self._parts is None:
            self._parts = self._read(self._next)
        part = next(self._parts, None)
        if part is None:
            return False
        self._recent.append(part)
        self._entries, self._at = part.entries, 0
        return True

    def _read(self, first: int) -> Iterator[ParentPart]:
        last = b""
        for at, data in enumerate(self._fetch(first), first):
            part = self._open(at, data)
            if part.entries and part.entries[0].path <= last:
                place = f"{part.entries[0].path!r} in {part.name}"
                raise IntegrityError("A point's paths are out of order", detail=place)
            if part.entries:
                last = part.entries[-1].path
                yield part

    def _fetch(self, first: int) -> Iterator[bytes]:
        """Read parts; ahead only once a second one is wanted, for the next may well be passed over."""
        names = self._record.trees[first:]
        if names:
            yield self._stores.read_needed(names[0])
            yield from ahead(self._stores.read_needed, names[1:])

    def _open(self, at: int, data: bytes) -> ParentPart:
        name = self.name_of(at)
        entries = trees.open_subtree(self._keys, name, data, self._numbers)
        used = extents.chunks_of(b"".join([entry.extents for entry in entries]))
        renew = [number for number in used.tolist() if self._numbers.id(number) in self._renew] if self._renew else []
        if renew:
            for entry in entries:
                if np.isin(extents.from_bytes(entry.extents)["chunk"], renew).any():
                    entry.ctime_ns, entry.hash = 0, b""  # not to be believed: so its source reads it again
        return ParentPart(name, self._look(at), entries, used, bool(renew))
