"""Reads parts of files that a server changes, cuts and drops meanwhile."""

from __future__ import annotations

import os
import threading

from coffer.errors import NotAllowed, OutsideSystemError

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class FolderReader:
    """Reads files below one folder; safe to call from several threads.

    Args:
        root: The folder.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._local = threading.local()

    def part(self, path: bytes, offset: int, length: int) -> bytes | None:
        """Return a part of a file: fewer bytes where it ends before, None where it is gone.

        Raises:
            NotAllowed: It may not be read.
            OutsideSystemError: The file system failed.
        """
        try:
            descriptor = os.open(self._root + b"/" + path, _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            data = os.pread(descriptor, length, offset)
            while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
                data += more
            return data
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(descriptor)

    def whole(self, path: bytes, size: int) -> bytes | None:
        """Return a file that had a size when it was looked at, as so many bytes; None if it is gone."""
        data = self.part(path, 0, size) if size else b""
        return data if data is None or len(data) == size else data + bytes(size - len(data))

    def padded(self, path: bytes, offset: int, length: int) -> bytes:
        """Return a part of a file, filled up with zeros where that has become shorter or is gone.

        It was cut or dropped meanwhile, and replay does that again; upstream's backup fills up in the same way.
        """
        data = self.part(path, offset, length) or b""
        return data if len(data) == length else data + bytes(length - len(data))

    def window(self, path: bytes, offset: int, length: int) -> memoryview:
        """Do the same in memory that this thread uses again the next time."""
        room = self._room(length)
        at = 0
        try:
            descriptor = os.open(self._root + b"/" + path, _FLAGS)
        except FileNotFoundError:
            descriptor = -1
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            while descriptor >= 0 and at < length and (got := os.preadv(descriptor, [room[at:]], offset + at)):
                at += got
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if at < length:
            room[at:] = bytes(length - at)
        return room

    def _room(self, length: int) -> memoryview:
        room: bytearray | None = getattr(self._local, "room", None)
        if room is None or len(room) < length:
            room = self._local.room = bytearray(length)
        return memoryview(room)[:length]


def _unreadable(path: bytes, error: OSError) -> NotAllowed | OutsideSystemError:
    detail = f"{os.fsdecode(path)}: {error.strerror}"
    if isinstance(error, PermissionError):
        return NotAllowed("a file of the data folder may not be read", detail=detail)
    return OutsideSystemError("a file of the data folder cannot be read", detail=detail)
