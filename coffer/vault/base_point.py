"""The point that a new one builds upon: what it may name again instead of storing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property

from coffer.errors import IntegrityError
from coffer.vault import chunk_index, points
from coffer.vault.catalogue import Known
from coffer.vault.chunk_index import row_type
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.known_chunks import KnownChunks
from coffer.vault.lost_objects import find_lost, runs_of
from coffer.vault.numeric import np
from coffer.vault.parent_tree import ParentTree
from coffer.vault.point_request import WriterAccess
from coffer.vault.points import Manifest
from coffer.vault.prune_guard import PruneGuard
from coffer.vault.read_ahead import ahead
from coffer.vault.upkeep import reads_too_much


class BasePoint:
    """An earlier point, or nothing.

    Args:
        manifest: Its manifest.
        listed: Names and sizes of all objects that it needs and that may be named again.
        whole: Nothing of it is lost or about to be swept; if something is, `listed` and `known` are without it.
        table: Opens them.

    Attributes:
        manifest: Its manifest.
        listed: Names and sizes of those objects.
        whole: Whether they are all.
    """

    def __init__(
        self,
        manifest: Manifest | None = None,
        listed: Mapping[str, int] | None = None,
        whole: bool = True,
        table: Callable[[], ChunkTable] | None = None,
    ) -> None:
        self.manifest = manifest
        self.listed = dict(listed or {})
        self.whole = whole
        self._table = table

    @cached_property
    def known(self) -> KnownChunks:
        """Its chunks; its indexes are opened for the first who asks."""
        if self._table is None or self.manifest is None:
            return KnownChunks([], np.empty(0, row_type()), {})
        table = self._table()
        return KnownChunks(table.packs, table.rows, self.listed, _renewed(self.manifest))

    def __contains__(self, chunk_id: object) -> bool:
        """Tell whether a chunk need not be stored."""
        return self._table is not None and chunk_id in self.known

    @classmethod
    def load(cls, access: WriterAccess, known: Known | None, guard: PruneGuard) -> BasePoint:
        """Read what a writer needs of a point. Damage to it harms no later point: what is lost is stored anew.

        Raises:
            Unreachable: No store that might hold its list or an index answers.
        """
        if known is None:
            return cls()
        manifest = known.manifest
        try:
            data = access.stores.read_needed(manifest.listing)
            listed = dict(points.open_list(access.configuration, manifest.listing, data).objects)
            lost = find_lost(access.stores, listed)
            table = _table(access, [each for each in manifest.index if each not in lost])
            runs = guard.marked_runs | runs_of(lost)
            going = guard.marked | lost
            if runs:
                going |= {pack.name for pack in table().packs if pack.run.hex() in runs}
        except IntegrityError as error:
            access.stores.note(f"nothing is shared with {manifest.name}, which is damaged: {error}")
            return cls(whole=False)
        if lost:
            access.stores.note(f"{len(lost)} objects of {manifest.name} are in no store: what they held is stored anew")
        staying = {name: size for name, size in listed.items() if name not in going}
        return cls(manifest, staying, len(staying) == len(listed), table)


def _table(access: WriterAccess, segments: list[str]) -> Callable[[], ChunkTable]:
    """Read indexes, compare them with their names, and return what opens them: a backup without changes need not.

    Raises:
        IntegrityError: One is missing, or not what was written.
    """
    data = dict(zip(segments, ahead(access.stores.read_needed, segments), strict=True))

    @cache
    def opened() -> ChunkTable:
        return ChunkTable.of(chunk_index.open_rows(access.keys, name, data[name]) for name in segments)

    return opened


def parent_tree(
    access: WriterAccess, manifest: Manifest | None, name: str, kind: str, numbers: ChunkNumbers, *, reads_again: bool
) -> ParentTree | None:
    """Return a source's tree in an earlier point, if that has the same source and can be built upon.

    Args:
        access: What may be read.
        manifest: The earlier point.
        name: The source's name.
        kind: The source's kind.
        numbers: The run's chunks by number.
        reads_again: The source reads a file again when its parent asks for it. Another one has to do a full when what
            it laid over its files has grown so large that a restore reads too much.
    """
    record = manifest.source(name) if manifest else None
    if manifest is None or record is None or record.kind != kind:
        return None
    if not reads_again and reads_too_much(record.reads, record.live):
        return None
    return ParentTree(access.stores, access.keys, record, numbers, _renewed(manifest))


def _renewed(manifest: Manifest) -> frozenset[bytes]:
    return frozenset(manifest.renew[at : at + 32] for at in range(0, len(manifest.renew), 32))
