"""Owner, mode, extended attributes and times of what was restored; what this account may not set is noted."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable

from coffer.vault.target_folder import Fresh
from coffer.vault.trees import TreeEntry

_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL}
_SPECIAL = stat.S_ISUID | stat.S_ISGID


class Attributes:
    """Sets what differs from what a new file has.

    Args:
        fresh: What a new file has here.
        note: Takes what could not be set, each thing once.
    """

    def __init__(self, fresh: Fresh, note: Callable[[str], None]) -> None:
        self._fresh = fresh
        self._note = note
        self._noted: set[str] = set()
        self._lock = threading.Lock()

    def first_mode(self, entry: TreeEntry) -> int:
        """Return the mode to create a file with: its own, unless it is still to change hands."""
        mine = (entry.uid, entry.gid) == (self._fresh.uid, self._fresh.gid)
        return entry.mode & 0o777 if mine and not entry.mode & _SPECIAL and not entry.xattrs else 0o600

    def settle(self, descriptor: int, entry: TreeEntry, created: int) -> None:
        """Finish a file or folder whose content stands; changing owner or content would take capabilities away again.

        Args:
            descriptor: It, open.
            entry: What it is to be.
            created: Mode it was created with.
        """
        mode = stat.S_IMODE(entry.mode)
        if (entry.uid, entry.gid) != (self._fresh.uid, self._fresh.gid) and not self._give(descriptor, entry):
            mode &= ~_SPECIAL  # they would lend this account's rights, not the owner's
        if mode != created & ~self._fresh.umask:
            os.fchmod(descriptor, mode)
        for name, value in entry.xattrs:
            self._set_attribute(descriptor, name, value)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def settle_link(self, parent: int, name: bytes, entry: TreeEntry) -> None:
        """Finish a symbolic link; it has no mode of its own."""
        if (entry.uid, entry.gid) != (self._fresh.uid, self._fresh.gid):
            try:
                os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                self._refused(error, "owners")
        for attribute, value in entry.xattrs:
            place = b"/proc/self/fd/%d/%s" % (parent, name)  # there is no call that goes by descriptor
            self._set_attribute(place, attribute, value)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _give(self, descriptor: int, entry: TreeEntry) -> bool:
        try:
            os.fchown(descriptor, entry.uid, entry.gid)
        except OSError as error:
            self._refused(error, "owners")
            return False
        return True

    def _set_attribute(self, place: int | bytes, name: bytes, value: bytes) -> None:
        try:
            os.setxattr(place, name, value, follow_symlinks=isinstance(place, int))
        except OSError as error:
            self._refused(error, f"extended attributes {name.decode(errors='backslashreplace').partition('.')[0]}.*")

    def _refused(self, error: OSError, what: str) -> None:
        if error.errno not in _REFUSED:
            raise error
        with self._lock:
            if what in self._noted:
                return
            self._noted.add(what)
        self._note(f"some {what} could not be set: {error.strerror}")
