"""How many bytes of which chunks a set of files uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coffer.errors import IntegrityError
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.known_chunks import Rows, ids_of
from coffer.vault.numeric import NDArray, np


class Usage(NamedTuple):
    """Chunks, sorted by id, each once, and how many bytes of each are used.

    A chunk of which two files use the same bytes counts them twice.
    """

    ids: NDArray[np.bytes_]
    live: NDArray[np.int64]

    def of(self, rows: Rows) -> NDArray[np.int64]:
        """Return how many bytes of each row's chunk are used; every row's chunk must be among these."""
        live: NDArray[np.int64] = self.live[np.searchsorted(self.ids, ids_of(rows))]
        mine: NDArray[np.int64] = np.minimum(live, rows["size"])
        return mine

    def rows_in(self, rows: Rows) -> Rows:
        """Return the rows of these chunks.

        Raises:
            IntegrityError: A chunk has none: the point would not open.
        """
        mine = rows[np.isin(ids_of(rows), self.ids)]
        if len(mine) != len(self.ids):
            raise IntegrityError("A chunk that files use is in no pack", detail=f"{len(self.ids) - len(mine)} chunks")
        return mine


def usage(live: Sequence[NDArray[np.int64]], numbers: ChunkNumbers) -> Usage:
    """Add up what several trees use of a run's chunks.

    Args:
        live: For each tree, bytes by chunk number.
        numbers: The run's chunks by number; those used have ids.
    """
    total = np.zeros(max((each.size for each in live), default=0), np.int64)
    for each in live:
        total[: each.size] += each
    used = np.flatnonzero(total)
    every = np.frombuffer(b"".join([numbers.id(number) for number in used.tolist()]), "S32")
    ids, place = np.unique(every, return_inverse=True)  # two numbers may stand for one chunk
    added = np.zeros(ids.size, np.int64)
    np.add.at(added, place, total[used])
    return Usage(ids, added)
