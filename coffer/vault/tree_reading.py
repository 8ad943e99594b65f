"""A source's tree read back from its subtrees."""

from __future__ import annotations

from collections.abc import Iterator

from coffer.errors import IntegrityError
from coffer.vault import trees
from coffer.vault.chunks import ChunkNumbering
from coffer.vault.index_keys import IndexKeys
from coffer.vault.points import SourceRecord
from coffer.vault.store_set import StoreSet
from coffer.vault.trees import TreeEntry


def read_entries(
    stores: StoreSet, keys: IndexKeys, source: SourceRecord, numbers: ChunkNumbering
) -> Iterator[TreeEntry]:
    """Return a source's entries in order of path.

    Raises:
        IntegrityError: A subtree is missing or not genuine, or a path leaves the tree or comes twice.
    """
    last = b""
    for name in source.trees:
        entries = trees.open_subtree(keys, name, stores.read_needed(name), numbers)
        trees.check_paths(entries, name)
        for entry in entries:
            if entry.path <= last:
                raise IntegrityError("A point's paths are out of order", detail=f"{entry.path!r} in {name}")
            last = entry.path
            yield entry
