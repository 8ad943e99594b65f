"""A source's tree read back from its subtrees."""

from __future__ import annotations

from collections.abc import Iterator

from coffer.errors import IntegrityError
from coffer.vault import chunk_index, trees
from coffer.vault.chunk_index import Location
from coffer.vault.chunks import ChunkNumbering
from coffer.vault.index_keys import IndexKeys
from coffer.vault.points import Manifest, SourceRecord
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


def read_locations(stores: StoreSet, keys: IndexKeys, manifest: Manifest) -> dict[bytes, Location]:
    """Return where a point's chunks are.

    Raises:
        IntegrityError: An index is missing or not genuine.
    """
    locations: dict[bytes, Location] = {}
    for name in manifest.index:
        locations.update(chunk_index.open_segment(keys, name, stores.read_needed(name)))
    return locations
