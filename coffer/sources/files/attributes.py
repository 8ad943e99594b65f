"""What the file system says about a name: its entry, and whether it still is what it was."""

from __future__ import annotations

import errno
import os
import stat

from coffer.sources.files.walk_ahead import AnyStatus
from coffer.vault.capture import Entry, EntryType, StoredEntry

_ABSENT = (errno.ENODATA, errno.ENOTSUP)
Xattrs = tuple[tuple[bytes, bytes], ...]


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


def entry_of(
    path: bytes,
    status: AnyStatus,
    kind: EntryType = EntryType.FILE,
    *,
    target: bytes = b"",
    link: int = 0,
    xattrs: Xattrs = (),
) -> Entry:
    """Return an entry for a path."""
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        target,
        link,
        xattrs,
    )


def is_unchanged(before: StoredEntry, status: AnyStatus) -> bool:
    """Tell whether a file is what an earlier capture saw: nobody can set ctime back."""
    return (
        before.ctime_ns == status.st_ctime_ns
        and before.mtime_ns == status.st_mtime_ns
        and before.size == status.st_size
        and before.ctime_ns != 0
        and before.type is EntryType.FILE
    )


def is_same(before: AnyStatus, after: AnyStatus) -> bool:
    """Tell whether a file was left alone between two looks."""
    return (
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ino == after.st_ino
        and before.st_dev == after.st_dev
    )
