"""Which pages of a relation's file an incremental must hold. Pure; it may choose a page too many, never one too few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres.wal_summaries import Change

Pages = NDArray[np.uint32]
NO_LSN_BELOW = 1 << 24
"""No record ends in the first segment of a log: such a page was written without one (LSN 0, or 1 by GiST)."""


def by_change(change: Change | None, first: int, size: int, before: int) -> Pages:
    """Choose by what the log changed.

    Args:
        change: What it did to the fork; None if nothing.
        first: Number of the file's first page within the fork.
        size: Pages of the file.
        before: Pages that it had in the parent.
    """
    keep = min(size, before)  # what was added to it may be in no record
    if change is None:
        return np.arange(keep, size, dtype=np.uint32)
    if change.limit is not None:
        keep = min(keep, max(change.limit - first, 0))
    begin, end = np.searchsorted(change.blocks, (first, first + keep))
    changed = change.blocks[begin:end] - np.uint32(first)
    return np.concatenate((changed, np.arange(keep, size, dtype=np.uint32)))


def by_lsn(lsns: NDArray[np.uint64], pages: Pages, since: int, before: int) -> NDArray[np.bool_]:
    """Choose by what the pages say of themselves.

    Args:
        lsns: Their LSNs.
        pages: Their numbers within the file.
        since: Position where the parent began.
        before: Pages that the file had in the parent.
    """
    chosen: NDArray[np.bool_] = (lsns >= since) | (lsns < NO_LSN_BELOW) | (pages >= before)
    return chosen


def runs(pages: Pages, gap: int, longest: int) -> list[tuple[int, int]]:
    """Return first page and length of what is to be read at once, so that all pages are.

    Args:
        pages: Ascending.
        gap: So many pages in between are read too: cheaper than another call.
        longest: Pages in a run at most.
    """
    if not pages.size:
        return []
    numbers = pages.astype(np.int64)
    breaks = np.flatnonzero(np.diff(numbers) > gap + 1) + 1
    firsts = numbers[np.concatenate(([0], breaks))]
    lasts = numbers[np.concatenate((breaks - 1, [numbers.size - 1]))]
    found = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        found += [(at, min(longest, last + 1 - at)) for at in range(first, last + 1, longest)]
    return found
