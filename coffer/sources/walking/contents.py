"""Opens and reads files as a backup must: no link followed, no pipe waited for, no trace left."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Any

BLOCK = 1 << 20
SMALL = 128 << 10
"""A file up to this size is read at once."""
_TICK_NS = 50_000_000
"""A file changed so shortly before it is looked at may change again without its times telling."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in a file's place must not hang us
_ABSENT = (errno.ENODATA, errno.ENOTSUP)
Xattrs = tuple[tuple[bytes, bytes], ...]
Content = tuple[int, Xattrs, bytes]
"""Change time to compare with next time, extended attributes, bytes."""


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


def xattrs_of(place: int | bytes) -> Xattrs:
    """Return the extended attributes of an open file or of a path, whose links are not followed."""
    follow = {} if isinstance(place, int) else {"follow_symlinks": False}
    try:
        names = os.listxattr(place, **follow)
    except OSError as error:
        if error.errno in _ABSENT:
            return ()
        raise
    found = []
    for name in sorted(map(os.fsencode, names)):
        try:
            found.append((name, os.getxattr(place, name, **follow)))
        except OSError as error:
            if error.errno not in _ABSENT:  # it went between the two calls
                raise
    return tuple(found)


def believable(ctime_ns: int) -> int:
    """Return the ctime to compare with next time, or 0 where the file may change within the same tick.

    To be asked directly after the look that gave it.
    """
    return 0 if time.time_ns() - ctime_ns < _TICK_NS else ctime_ns


def content_of(full: bytes, status: os.stat_result) -> Content | None:
    """Read a small file that has one name, or return None where anything is not as the look said it was."""
    try:
        descriptor = open_file(full)
    except OSError:
        return None
    try:
        data = read_whole(descriptor, status.st_size)
        xattrs = xattrs_of(descriptor)
        now = os.fstat(descriptor)
        ctime_ns = believable(now.st_ctime_ns)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return (ctime_ns, xattrs, data) if is_same(status, now) and len(data) == now.st_size else None


def is_small(status: os.stat_result) -> bool:
    """Tell whether a look is at a file that is read at once and stands alone."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and 0 < status.st_size <= SMALL


def is_same(before: Any, after: Any) -> bool:  # noqa: ANN401 - whatever has the fields of os.stat_result
    """Tell whether a file was left alone between two looks."""
    return bool(
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ino == after.st_ino
        and before.st_dev == after.st_dev
    )
