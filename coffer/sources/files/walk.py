"""The names below a folder in the order of their bytes, each looked at once; links are not followed.

It is a program, too, that needs nothing but Python: see `walk_ahead`.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
from collections.abc import Callable, Iterator

_BATCH = 512
LENGTH = 4
"""Bytes that say how long a message is."""
_Listing = list[tuple[bytes, "os.DirEntry[bytes] | None"]]
Record = tuple[bytes, int, int, int, int, int, int, int, int, int, int]
"""Path, and what `walk_ahead.Status` names; it begins with what `capture.Look` is."""
Said = list[Record] | bytes | tuple[int | None, str | None, bytes] | None
"""A message: records, a path that vanished, an error, or the end."""


def walk(root: bytes, note: Callable[[bytes], object], after: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield path and status of everything below a folder, ascending by path.

    A folder `a` comes before `a.txt`, and `a.txt` before `a/b`: so what a folder holds is a name of its own, `a/`.

    Args:
        root: The folder.
        note: Takes the path of what vanished meanwhile.
        after: Leave out paths up to this one.

    Raises:
        OSError: The file system failed, or a folder may not be read.
    """
    stack = [(b"", iter(_list(root, b"", note, after)))]
    while stack:
        folder, names = stack[-1]
        for name, found in names:
            path = folder + name
            if found is None:
                stack.append((path, iter(_list(root, path, note, after))))
                break
            try:
                status = found.stat(follow_symlinks=False)
            except FileNotFoundError:
                note(path)
            else:
                yield path, status
        else:
            stack.pop()


def record(path: bytes, status: os.stat_result) -> Record:
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
    )


def _list(root: bytes, folder: bytes, note: Callable[[bytes], object], after: bytes) -> _Listing:
    """Return what a folder holds in order; a folder in it comes twice, the second time as what it holds."""
    listing: _Listing = []
    try:
        with os.scandir(root + b"/" + folder) as found:
            for each in found:
                listing.append((each.name, each))
                if each.is_dir(follow_symlinks=False):
                    listing.append((each.name + b"/", None))
    except (FileNotFoundError, NotADirectoryError):
        note(folder)
    listing.sort(key=lambda each: each[0])
    if after > folder:
        return [each for each in listing if _comes_after(folder + each[0], each[1] is None, after)]
    return listing


def _comes_after(path: bytes, holds: bool, after: bytes) -> bool:
    return path > after or (holds and after.startswith(path))


def _main() -> None:
    """Write batches of records, vanished paths and at most one error; None ends them."""
    root, after = os.fsencode(sys.argv[1]), bytes.fromhex(sys.argv[2])
    batch: list[Record] = []
    error: tuple[int | None, str | None, bytes] | None = None
    try:
        for path, s in walk(root, _say, after):
            batch.append(record(path, s))
            if len(batch) == _BATCH:
                _say(batch)
                batch = []
    except OSError as met:
        error = met.errno, met.strerror, os.fsencode(met.filename or b"")
    _say(batch)
    if error is not None:
        _say(error)
    _say(None)


def _say(message: Said) -> None:
    data = marshal.dumps(message)
    sys.stdout.buffer.write(len(data).to_bytes(LENGTH, "big") + data)


if __name__ == "__main__":
    _main()
