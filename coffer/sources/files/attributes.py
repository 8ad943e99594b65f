"""What the file system says about a name: its entry, and whether it still is what it was."""

from __future__ import annotations

import stat

from coffer.sources.files.walk_ahead import AnyStatus
from coffer.sources.walking.contents import Xattrs, is_same, xattrs_of
from coffer.vault.capture import Entry, EntryType, StoredEntry

__all__ = ["Xattrs", "entry_of", "is_same", "is_unchanged", "xattrs_of"]


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
