"""PostgreSQL's page checksum over many pages at a time, and what else a page's header says.

Source of the algorithm: src/include/storage/checksum_impl.h, a variant of FNV-1a (Fowler, Noll, Vo) in 32 lanes; of
the header: src/include/storage/bufpage.h.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres import page_sums
from coffer.vault.capture import PAGE_SIZE, Buffer

_PRIME = np.uint32(16777619)
_SHIFT = np.uint32(17)
_LANES = 32
_ROUNDS = PAGE_SIZE // 4 // _LANES
_OFFSETS = np.array(
    [
        0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
        0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
        0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
        0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
    ],
    np.uint32,
)  # fmt: skip
_CHECKSUM, _UPPER = 4, 7  # which 16-bit word of a page: pd_checksum, pd_upper
_WITHOUT_CHECKSUM = np.uint32(0xFFFF0000)
_COMPILED = page_sums.compiled()


def checksums(data: Buffer, blocks: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Return what the checksum of each page should be.

    Args:
        data: Whole pages.
        blocks: Number of each page within its fork.
    """
    words = np.frombuffer(data, "<u4")
    folded = (_COMPILED(words, _OFFSETS) if _COMPILED else sums_by_numpy(words)) ^ blocks
    found: NDArray[np.uint16] = (folded % np.uint32(65535) + np.uint32(1)).astype(np.uint16)
    return found


def sums_by_numpy(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the folded state of each of some whole pages."""
    rows = words.reshape(-1, _ROUNDS, _LANES)
    state = np.empty((len(rows), _LANES), np.uint32)
    state[:] = _OFFSETS
    shifted = np.empty_like(state)
    first = rows[:, 0, :].copy()
    first[:, 2] &= _WITHOUT_CHECKSUM
    for number in range(_ROUNDS + 2):  # two rounds of zeros at the end
        if number < _ROUNDS:
            np.bitwise_xor(state, rows[:, number, :] if number else first, out=state)
        np.right_shift(state, _SHIFT, out=shifted)
        np.multiply(state, _PRIME, out=state)
        np.bitwise_xor(state, shifted, out=state)
    folded: NDArray[np.uint32] = np.bitwise_xor.reduce(state, axis=1)
    return folded


def wrong_pages(data: Buffer, blocks: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return which pages, counted from 0, are neither whole nor new: a new page is all zeros."""
    halves = np.frombuffer(data, "<u2").reshape(-1, PAGE_SIZE // 2)
    new = halves[:, _UPPER] == 0
    wrong = checksums(data, blocks) != halves[:, _CHECKSUM]
    for page in np.flatnonzero(new).tolist():
        wrong[page] = bool(halves[page].any())
    return np.flatnonzero(wrong)


def lsns(data: Buffer) -> NDArray[np.uint64]:
    """Return each page's LSN: the end of the WAL record that changed it last."""
    heads = np.frombuffer(data, "<u4").reshape(-1, PAGE_SIZE // 4)[:, :2].astype(np.uint64)
    joined: NDArray[np.uint64] = (heads[:, 0] << np.uint64(32)) | heads[:, 1]
    return joined
