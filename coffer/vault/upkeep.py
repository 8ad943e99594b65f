"""Which chunks the next backup shall store anew from its source, so that packs stay alive and a restore reads little.

Prune drops whole packs, and a restore reads whole chunks. What a point uses of them shrinks with time.
"""

from __future__ import annotations

from coffer.vault.chunk_index import PackRecord
from coffer.vault.known_chunks import Rows
from coffer.vault.numeric import NDArray, np
from coffer.vault.packs import HEADER_SIZE

LEAST_ALIVE = 0.30
"""A pack that is used to a smaller share is retired (by sealed bytes)."""
MOST_READ = 1.15
"""A restore shall read at most so many times the bytes that it gives back."""
_NOT_WORTH_IT = 32 << 20  # bytes read in vain: below, it is about one pack
_WORTH_READING = 0.9


def reads_too_much(reads: int, live: int) -> bool:
    """Tell whether a restore reads chunks of so many bytes for far less content."""
    return reads > MOST_READ * live and reads - live > _NOT_WORTH_IT


def chunks_to_renew(packs: list[PackRecord], rows: Rows, live: NDArray[np.int64]) -> bytes:
    """Return the ids, end to end, of those chunks that shall be stored anew.

    Args:
        packs: Packs that rows count.
        rows: The chunks that a point uses.
        live: How many bytes of each row's content the point uses.
    """
    renew = _in_sparse_packs(packs, rows) | _mostly_unused(rows["size"].astype(np.int64), live)
    return rows["id"][renew].tobytes()


def _in_sparse_packs(packs: list[PackRecord], rows: Rows) -> NDArray[np.bool_]:
    used = np.bincount(rows["pack"], weights=rows["sealed"], minlength=len(packs))
    sizes = np.array([pack.size - HEADER_SIZE for pack in packs], np.float64)
    sparse: NDArray[np.bool_] = (used < LEAST_ALIVE * sizes)[rows["pack"]] if packs else np.zeros(0, bool)
    return sparse


def _mostly_unused(sizes: NDArray[np.int64], live: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose the worst chunks, until what is left reads little beyond what it gives."""
    chosen = np.zeros(sizes.size, bool)
    if not reads_too_much(int(sizes.sum()), int(live.sum())):
        return chosen
    excess = float(sizes.sum() - MOST_READ * live.sum())
    share = live / np.maximum(sizes, 1)
    order = np.argsort(share, kind="stable")
    saved = np.cumsum((sizes - live)[order])
    needed = int(np.searchsorted(saved, excess)) + 1
    chosen[order[:needed]] = True
    return chosen & (share < _WORTH_READING)
