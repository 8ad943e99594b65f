"""The point that a new one builds upon: what it may name again instead of storing it."""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.vault import points, tree_reading
from coffer.vault.chunk_index import Location
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.point_request import WriterAccess
from coffer.vault.points import Manifest
from coffer.vault.tree_reading import ParentTree


@dataclass(frozen=True)
class BasePoint:
    """An earlier point, or nothing.

    Attributes:
        manifest: Its manifest.
        listed: Names and sizes of all objects that it needs.
        known: Chunks that are in packs which it needs; others of its indexes may be gone by now.
    """

    manifest: Manifest | None = None
    listed: dict[str, int] = field(default_factory=dict)
    known: dict[bytes, Location] = field(default_factory=dict)

    @classmethod
    def load(cls, access: WriterAccess, manifest: Manifest | None) -> BasePoint:
        """Read what a writer needs of a point.

        Raises:
            IntegrityError: Its list or an index is missing or not genuine.
        """
        if manifest is None:
            return cls()
        data = access.stores.read_needed(manifest.listing)
        listed = dict(points.open_list(access.configuration, manifest.listing, data).objects)
        located = tree_reading.read_locations(access.stores, access.keys, manifest)
        return cls(manifest, listed, {chunk: place for chunk, place in located.items() if place.pack.name in listed})


def parent_tree(
    access: WriterAccess, manifest: Manifest | None, name: str, kind: str, numbers: ChunkNumbers
) -> ParentTree | None:
    """Return a source's tree in an earlier point, if that has the same source."""
    record = manifest.source(name) if manifest else None
    if record is None or record.kind != kind:
        return None
    entries = tree_reading.read_entries(access.stores, access.keys, record, numbers)
    subtrees = {bytes.fromhex(each.split("/")[-1][:32]): each for each in record.trees}
    return ParentTree(record.facts, {entry.path: entry for entry in entries}, subtrees)
