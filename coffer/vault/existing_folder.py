"""A folder that holds much of what a restore would write: the rest of it is taken away, what may serve again stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress

from coffer.vault.target_folder import UNFINISHED, TargetFolder

_KEPT = b".coffer-"
"""Names at the top that are ours."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ExistingFolder(TargetFolder):
    """A target that may hold anything.

    Whoever finds it unfinished may run the same restore again: that is why earlier marks are no hindrance here.
    """

    def clear(self, files: Collection[bytes], folders: Collection[bytes]) -> None:
        """Remove all but these; links and whatever is no plain file go in any case.

        Args:
            files: Files that may serve again.
            folders: Folders that will be there.
        """
        self._clear(self.root, b"", files, folders)

    def make_folders(self, paths: Collection[bytes]) -> None:  # type: ignore[override]
        """Make those folders that are missing; those that are there become the owner's alone as yet."""
        for path in sorted(paths):
            parent, _, name = path.rpartition(b"/")
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.folder(parent))
            self.as_new(self.folder(path), 0o700)

    def as_new(self, descriptor: int, mode: int) -> None:
        """Give a file or folder what it would have if it were made now: what it is to get is compared with that."""
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (self.fresh.uid, self.fresh.gid):
            os.fchown(descriptor, self.fresh.uid, self.fresh.gid)
        os.fchmod(descriptor, mode)
        with suppress(OSError):  # a file system that has none
            for name in os.listxattr(descriptor):
                os.removexattr(descriptor, name)

    def reopen(self, path: bytes) -> int:
        """Open a file for reading, too; a link is not followed."""
        parent, _, name = path.rpartition(b"/")
        return os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.folder(parent))

    def remove(self, path: bytes) -> None:
        """Remove a file."""
        parent, _, name = path.rpartition(b"/")
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.folder(parent))

    def finish(self) -> None:
        """Take away every mark, those of interrupted restores too."""
        for name in os.listdir(self.root):  # noqa: PTH208 - by descriptor
            if name.startswith(UNFINISHED):
                os.unlink(name, dir_fd=self.root)

    def _accept(self, occupied: list[str]) -> None:
        """Take whatever is there."""

    def _clear(self, descriptor: int, above: bytes, files: Collection[bytes], folders: Collection[bytes]) -> None:
        for text in os.listdir(descriptor):
            name = os.fsencode(text)
            path = above + name
            if not above and name.startswith(_KEPT):
                continue
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                self._clear_folder(descriptor, name, path, files, folders)
            elif not stat.S_ISREG(mode) or path not in files:
                os.unlink(name, dir_fd=descriptor)

    def _clear_folder(
        self, parent: int, name: bytes, path: bytes, files: Collection[bytes], folders: Collection[bytes]
    ) -> None:
        os.chmod(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        try:
            self._clear(descriptor, path + b"/", files, folders)
        finally:
            os.close(descriptor)
        if path not in folders:
            os.rmdir(name, dir_fd=parent)
