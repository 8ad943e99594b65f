"""A large file's content: in blocks, without the holes where it is sparse."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from coffer.sources.files.walk_ahead import AnyStatus
from coffer.sources.walking.contents import BLOCK, open_file, read_whole
from coffer.vault.capture import Hole

__all__ = ["BLOCK", "blocks", "open_file", "read_whole"]


def blocks(descriptor: int, status: AnyStatus) -> Iterator[bytes | Hole]:
    """Read a file from its beginning to the end that it had, though it may be growing; holes come as such."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    is_sparse = status.st_blocks * 512 < status.st_size
    at = 0
    while at < status.st_size:
        begin = _next_data(descriptor, at, status.st_size) if is_sparse else at
        end = _end_of_data(descriptor, begin, status.st_size) if is_sparse else status.st_size
        if begin > at:
            yield Hole(begin - at)
        while begin < end:
            block = os.pread(descriptor, min(BLOCK, end - begin), begin)
            if not block:
                return  # it was cut short meanwhile, which its times tell
            begin += len(block)
            yield block
        at = end


def _next_data(descriptor: int, at: int, size: int) -> int:
    try:
        return min(os.lseek(descriptor, at, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise


def _end_of_data(descriptor: int, begin: int, size: int) -> int:
    return min(os.lseek(descriptor, begin, os.SEEK_HOLE), size) if begin < size else size
