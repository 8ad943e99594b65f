"""A file's content: whole where it is small, in blocks where it is large, without the holes where it is sparse."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from coffer.sources.files.walk_ahead import AnyStatus
from coffer.vault.capture import Hole

BLOCK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in a file's place must not hang us


def open_file(full: bytes) -> int:
    """Open what should be a file, without leaving a trace of reading it where that is allowed."""
    try:
        return os.open(full, _FLAGS | os.O_NOATIME)
    except PermissionError:  # of someone else's file; or it may not be read, which the second try says
        return os.open(full, _FLAGS)


def read_whole(descriptor: int, size: int) -> bytes:
    """Read a small file, and a little more than it should have, if it has.

    A file of no size may hold something: what the kernel makes up when it is read.
    """
    if size:
        return os.read(descriptor, size + 1)
    data = b""
    while len(data) < BLOCK and (more := os.read(descriptor, BLOCK - len(data))):
        data += more
    return data


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
