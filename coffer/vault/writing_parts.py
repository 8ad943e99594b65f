"""Parts of files written in place: all of a part, or only those pages of it that differ from what stands there."""

from __future__ import annotations

import os

from coffer.vault.early_writing import start_writing
from coffer.vault.numeric import NDArray, np

PAGE = 8192
"""What is compared and written together: a page of PostgreSQL, two of the file system."""


def write_all(descriptor: int, content: memoryview, at: int) -> None:
    """Write a part."""
    done = os.pwrite(descriptor, content, at)
    while done < content.nbytes:
        done += os.pwrite(descriptor, content[done:], at + done)
    start_writing(descriptor, at, content.nbytes)


def write_differences(descriptor: int, content: memoryview, at: int) -> None:
    """Write what differs of a part; the file is open for reading too."""
    there = os.pread(descriptor, content.nbytes, at)
    for begin, end in _different(there, content):
        write_all(descriptor, content[begin:end], at + begin)


def _different(there: bytes, content: memoryview) -> list[tuple[int, int]]:
    """Return the runs of pages that differ, as offsets; what is missing differs."""
    whole = min(len(there), content.nbytes) // PAGE * PAGE
    same = (_pages(there, whole) == _pages(content, whole)).all(axis=1)
    edges = np.diff(np.concatenate(([True], same, [True])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == -1) * PAGE, np.flatnonzero(edges == 1) * PAGE
    runs = list(zip(starts.tolist(), ends.tolist(), strict=True))
    if there[whole:] != content[whole:]:
        runs.append((whole, content.nbytes))
    return runs


def _pages(data: bytes | memoryview, size: int) -> NDArray[np.uint64]:
    return np.frombuffer(data[:size], np.uint64).reshape(-1, PAGE // 8)
