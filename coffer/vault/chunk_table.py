"""Where a point's chunks are, as arrays: 53 bytes a chunk, however many there are. A chunk's number is its row."""

from __future__ import annotations

from collections.abc import Iterable

from coffer.errors import IntegrityError
from coffer.vault import chunk_index
from coffer.vault.chunk_index import Location, PackRecord
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np
from coffer.vault.read_ahead import ahead
from coffer.vault.store_set import StoreSet

_ID = "S32"  # NumPy pads with NULs and strips them alike: equal for ids of one length


class ChunkTable:
    """Finds chunks by id; made once, then read by any number of threads.

    Attributes:
        packs: The packs that rows count.
        rows: One row a chunk, by id; see `chunk_index.row_type`.
    """

    def __init__(self, packs: list[PackRecord], rows: NDArray[np.void]) -> None:
        self.packs = packs
        self.rows = rows
        self._ids = np.ascontiguousarray(rows["id"]).view(_ID).ravel()

    @classmethod
    def load(cls, stores: StoreSet, keys: IndexKeys, segments: Iterable[str]) -> ChunkTable:
        """Read a point's indexes; where two know a chunk, the later one counts.

        Raises:
            IntegrityError: An index is missing or not genuine.
        """

        def read(name: str) -> tuple[list[PackRecord], NDArray[np.void]]:
            return chunk_index.open_rows(keys, name, stores.read_needed(name))

        return cls.of(ahead(read, segments))

    @classmethod
    def of(cls, segments: Iterable[tuple[list[PackRecord], NDArray[np.void]]]) -> ChunkTable:
        """Join opened indexes; where two know a chunk, the later one counts."""
        packs: list[PackRecord] = []
        parts: list[NDArray[np.void]] = []
        for more, rows in segments:
            mine = rows.copy()
            mine["pack"] += len(packs)
            packs += more
            parts.append(mine)
        return cls(packs, _by_id(np.concatenate(parts) if parts else np.empty(0, chunk_index.row_type())))

    def number(self, chunk_id: bytes) -> int:
        """Return a chunk's number.

        Raises:
            IntegrityError: The point's indexes do not know it.
        """
        at = int(np.searchsorted(self._ids, np.bytes_(chunk_id)))
        if at == len(self._ids) or self.id(at) != chunk_id:
            raise IntegrityError("A point names a chunk that its indexes do not know", detail=chunk_id.hex())
        return at

    def numbers(self, ids: bytes) -> NDArray[np.int64]:
        """Return the numbers of chunks whose ids stand end to end; raises as `number` does."""
        wanted = np.frombuffer(ids, _ID)
        at = np.searchsorted(self._ids, wanted)
        known = at < len(self._ids)
        known[known] = self._ids[at[known]] == wanted[known]
        if not known.all():
            strange = ids[32 * int(np.argmin(known)) :][:32]
            raise IntegrityError("A point names a chunk that its indexes do not know", detail=strange.hex())
        return at

    def id(self, number: int) -> bytes:
        """Return the id of a chunk."""
        return bytes(self.rows["id"][number])

    def place(self, number: int) -> Location:
        """Return where a chunk is."""
        _, pack, *place = self.rows[number].item()
        return Location(self.packs[pack], *place)


def _by_id(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Sort rows by id; of equal ids keep the last."""
    ids = np.ascontiguousarray(rows["id"]).view(_ID).ravel()
    order = np.argsort(ids, kind="stable")
    last = np.append(ids[order][1:] != ids[order][:-1], True) if ids.size else np.empty(0, bool)
    kept: NDArray[np.void] = rows[order[last]]
    return kept
