"""Chunks that a new point may name again, and where they are: arrays, 53 bytes a chunk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from coffer.vault.chunk_index import PackRecord, row_type
from coffer.vault.numeric import NDArray, np

_ID = "S32"  # NumPy pads with NULs and strips them alike: equal for ids of one length
Rows: TypeAlias = "NDArray[np.void]"


class KnownChunks:
    """Chunks in packs that the base point needs; others of its indexes may be gone by now.

    Args:
        packs: Packs, as rows count them.
        rows: Rows of an index, sorted by id, each id once.
        listed: Names of the objects that the base point needs.
        renew: Ids of chunks that are there and yet shall be stored anew.
    """

    def __init__(
        self, packs: list[PackRecord], rows: Rows, listed: Mapping[str, int], renew: Collection[bytes] = frozenset()
    ) -> None:
        there = np.array([pack.name in listed for pack in packs], bool)
        self.packs = packs
        self._rows = rows[there[rows["pack"]]] if packs else np.empty(0, row_type())
        self._ids = ids_of(self._rows)
        self._renew = renew

    def __contains__(self, chunk_id: object) -> bool:
        """Tell whether a chunk need not be stored."""
        if not isinstance(chunk_id, bytes) or chunk_id in self._renew:
            return False
        at = int(np.searchsorted(self._ids, np.bytes_(chunk_id)))
        return at < len(self._ids) and self._rows["id"][at].tobytes() == chunk_id

    def used(self, ids: NDArray[np.bytes_]) -> Rows:
        """Return the rows of those chunks that are among some ids."""
        return self._rows[np.isin(self._ids, ids)]


def ids_of(rows: Rows) -> NDArray[np.bytes_]:
    """Return the ids of rows as an array that can be searched and compared."""
    ids: NDArray[np.bytes_] = np.ascontiguousarray(rows["id"]).view(_ID).ravel()
    return ids


def joined(parts: list[tuple[list[PackRecord], Rows]]) -> tuple[list[PackRecord], Rows]:
    """Join rows and the packs that they count; packs that no row needs are left out."""
    packs: list[PackRecord] = []
    every: list[Rows] = []
    for of_part, rows in parts:
        needed, place = np.unique(rows["pack"], return_inverse=True)
        mine = rows.copy()
        mine["pack"] = place + len(packs)
        packs += [of_part[number] for number in needed.tolist()]
        every.append(mine)
    return packs, np.concatenate(every) if every else np.empty(0, row_type())
