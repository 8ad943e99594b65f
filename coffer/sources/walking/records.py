"""What a walk tells of a name."""

from __future__ import annotations

import stat
from os import stat_result
from typing import Any

Record = tuple[Any, ...]
"""Path, and what `walk_ahead.Status` names; then, if it was read, `contents.Content`, else None."""


def record(path: bytes, status: stat_result, content: object = None) -> Record:
    """Return what a walk tells of a name; only a file has a size."""
    mode = status.st_mode
    return (
        path,
        mode,
        status.st_uid,
        status.st_gid,
        status.st_size if stat.S_ISREG(mode) else 0,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_nlink,
        status.st_ino,
        status.st_dev,
        status.st_blocks,
        content,
    )


def tells_enough(each: Record) -> bool:
    """Tell whether a name's look can stand for it: it has no second name elsewhere."""
    return each[7] == 1 or not stat.S_ISREG(each[1])


def is_kept(mode: int) -> bool:
    """Tell whether a point holds such a thing at all: files, folders and links."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
