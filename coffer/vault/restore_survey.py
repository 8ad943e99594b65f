"""A source's whole tree looked at before a restore writes anything: nothing in it may lead out of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from coffer.errors import IntegrityError
from coffer.vault import extents, trees
from coffer.vault.capture import EntryType
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import np
from coffer.vault.read_ahead import ahead
from coffer.vault.store_set import StoreSet
from coffer.vault.tree_order import TreeOrder, look_at
from coffer.vault.trees import TreeEntry, type_number

FILE, DIRECTORY, SYMLINK = (type_number(kind) for kind in (EntryType.FILE, EntryType.DIRECTORY, EntryType.SYMLINK))
_KEPT = 100_000
"""Entries that are kept in memory between looking and writing; larger trees are read twice."""
Subtree = tuple[str, list[TreeEntry]]


Content = tuple[int, int, bytes]


def content_of(entry: TreeEntry) -> Content:
    """Return what tells one file with several names from another.

    Its number alone might not: while a tree was read, a file may have gone and another one come under its number.
    """
    return entry.link, entry.size, entry.hash or entry.extents


class Survey:
    """Looks at every entry and remembers what the restore needs of all of them: folders and numbers.

    Attributes:
        folders: The tree's folders by path.
        chosen_folders: Folders chosen.
        parents: Folders that hold something chosen.
        files: Files chosen.
        symlinks: Links chosen.
        bytes: Content of the files chosen; of several names of one file, once.
    """

    def __init__(
        self,
        stores: StoreSet,
        keys: IndexKeys,
        names: Sequence[str],
        table: ChunkTable,
        include: Callable[[bytes], bool] | None,
    ) -> None:
        self._stores = stores
        self._keys = keys
        self._names = names
        self._table = table
        self._include = include
        self._kept: dict[str, list[TreeEntry]] = {}
        self._contents: set[Content] = set()
        self.folders: dict[bytes, TreeEntry] = {}
        self.chosen_folders: set[bytes] = set()
        self.parents: set[bytes] = set()
        self.files = self.symlinks = self.bytes = 0

    def look(self) -> None:
        """Check all, count what was chosen.

        Raises:
            IntegrityError: A subtree is missing or not genuine, or names what no tree may name.
        """
        order = TreeOrder()
        kept = 0
        for name, entries in ahead(self._read, self._names):
            order.follow(look_at(entries, name), name)
            self._check_extents(entries, name)
            for entry in entries:
                if entry.type == DIRECTORY:
                    self.folders[entry.path] = entry
            chosen = self._choose(entries)
            for entry in chosen:
                self._count(entry)
            kept += len(chosen)
            if kept <= _KEPT:
                self._kept[name] = chosen

    def wanted_folders(self) -> set[bytes]:
        """Return the folders chosen, and all those above what was chosen."""
        wanted: set[bytes] = set()
        for path in (*self.chosen_folders, *self.parents):
            above = path
            while above and above not in wanted:
                wanted.add(above)
                above, _, _ = above.rpartition(b"/")
        return wanted

    def plain_files(self) -> frozenset[bytes]:
        """Return the files chosen that have one name: this grows with the tree."""
        kept = self._kept.get
        return frozenset(
            entry.path
            for name in self._names
            for entry in (kept(name) or self._choose(self._read(name)[1]))
            if entry.type == FILE and not entry.link
        )

    def chosen(self) -> Iterator[list[TreeEntry]]:
        """Yield what was chosen, subtree by subtree."""
        missing = ahead(self._read, [name for name in self._names if name not in self._kept])
        for name in self._names:
            kept = self._kept.pop(name, None)
            yield kept if kept is not None else self._choose(next(missing)[1])

    def _read(self, name: str) -> Subtree:
        return name, trees.open_subtree(self._keys, name, self._stores.read_needed(name), self._table)

    def _choose(self, entries: list[TreeEntry]) -> list[TreeEntry]:
        include = self._include
        return entries if include is None else [entry for entry in entries if include(entry.path)]

    def _count(self, entry: TreeEntry) -> None:
        parent, _, _ = entry.path.rpartition(b"/")
        self.parents.add(parent)
        if entry.type == DIRECTORY:
            self.chosen_folders.add(entry.path)
        elif entry.type == SYMLINK:
            self.symlinks += 1
        elif entry.type == FILE:
            self.files += 1
            content = content_of(entry)
            if not entry.link or content not in self._contents:
                self.bytes += entry.size
            if entry.link:
                self._contents.add(content)

    def _check_extents(self, entries: Sequence[TreeEntry], name: str) -> None:
        every = extents.from_bytes(b"".join(entry.extents for entry in entries))
        used = every[every["chunk"] != extents.HOLE]
        ends = used["offset"].astype(np.int64) + used["length"]
        if np.any(ends > self._table.rows["size"][used["chunk"]]):
            raise IntegrityError("A file's page map reaches beyond its chunk", detail=name)
