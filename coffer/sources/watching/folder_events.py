"""What the kernel says about a folder and all folders in it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from types import TracebackType

from inotify_simple import Event, INotify, flags  # type: ignore[import-untyped]

from coffer.errors import OutsideSystemError

_MASK = (
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.CREATE
    | flags.MOVED_FROM
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
)
_TOO_MANY = (errno.ENOSPC, errno.ENOMEM)


@dataclass
class Seen:
    """What happened since the last look.

    Attributes:
        settled: Paths whose writer closed them, or that were renamed into place: they are whole.
        appeared: Paths that came into being, perhaps only a name yet.
        scan: Something was missed, or moved as a whole: only a full scan tells.
    """

    settled: set[bytes] = field(default_factory=set)
    appeared: set[bytes] = field(default_factory=set)
    scan: bool = False


def joined(folder: bytes, name: bytes) -> bytes:
    """Return a path; either half may be empty."""
    return folder + b"/" + name if folder and name else folder + name


class FolderEvents:
    """Watches a folder; folders in it are added as a scan, or an event, finds them.

    Args:
        root: The folder; paths are relative to it.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._folders: dict[int, bytes] = {}
        try:
            self._kernel = INotify()
        except OSError as error:
            raise OutsideSystemError(
                "The kernel gives no more watches",
                detail=str(error),
                resolution="Raise fs.inotify.max_user_instances",
            ) from error

    def __enter__(self) -> FolderEvents:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End watching."""
        self._kernel.close()

    def add(self, folder: bytes) -> None:
        """Watch a folder; one that is watched already may have another name now.

        Raises:
            FileNotFoundError: It is gone.
            OutsideSystemError: The kernel's limit is reached.
        """
        try:
            number = self._kernel.add_watch(joined(self._root, folder), _MASK)
        except OSError as error:
            if error.errno in _TOO_MANY:
                raise OutsideSystemError(
                    "The kernel watches no more folders",
                    detail=str(error),
                    resolution="Raise fs.inotify.max_user_watches; until then full scans find new files",
                ) from error
            raise
        self._folders[number] = folder

    def read(self, seconds: float) -> Seen:
        """Wait for something to happen, so long at most, and return it.

        Args:
            seconds: How long to wait; 0 looks only.
        """
        seen = Seen()
        for event in self._kernel.read(timeout=int(seconds * 1000)):
            self._take(event, seen)
        return seen

    def _take(self, event: Event, seen: Seen) -> None:
        if event.mask & (flags.Q_OVERFLOW | flags.MOVE_SELF | flags.UNMOUNT):
            seen.scan = True
        elif event.mask & flags.IGNORED:
            if self._folders.pop(event.wd, None) == b"":
                seen.scan = True  # the root itself is gone
        elif event.mask & flags.ISDIR:
            seen.scan = True
        elif event.name and event.wd in self._folders:
            path = joined(self._folders[event.wd], os.fsencode(event.name))
            if event.mask & (flags.CLOSE_WRITE | flags.MOVED_TO):
                seen.settled.add(path)
            elif event.mask & flags.CREATE:
                seen.appeared.add(path)
