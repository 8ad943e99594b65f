"""Reads a new file whole, if it is whole: an upload is written once, and often named by its SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from coffer.sources.watching.folder_events import joined
from coffer.vault.journal import ShippedFile

PART_SIZE = 32 << 20
"""Bytes of a file in one shipment, and of a shipment in memory."""
_BLOCK = 1 << 20
_SHA256 = re.compile(rb"[0-9a-f]{64}")


class State(Enum):
    """What came of looking at a path."""

    GONE = "gone"
    """There is no such file any more, or it is none, or its name says that it is not meant to be kept."""
    GROWING = "growing"
    """It is being written, or may be."""
    DAMAGED = "damaged"
    """It is at rest, and not what its name says."""


@dataclass(frozen=True)
class Upload:
    """A file that can be shipped.

    Attributes:
        descriptor: It, open.
        file: What is known of it, as one part.
    """

    descriptor: int
    file: ShippedFile

    def parts(self) -> Iterator[tuple[ShippedFile, bytes]]:
        """Yield it in parts; an empty file is one part.

        Raises:
            OSError: It cannot be read.
            EOFError: It was cut short meanwhile.
        """
        size = self.file.size
        for offset in range(0, max(size, 1), PART_SIZE):
            length = min(PART_SIZE, size - offset)
            content = b"".join(_read(self.descriptor, offset, length))
            file = self.file
            part = ShippedFile(file.path, file.mode, file.uid, file.gid, file.mtime_ns, size, offset, length)
            yield part, content

    def unchanged(self) -> bool:
        """Tell whether it is still what it was when it was opened."""
        now = os.fstat(self.descriptor)
        return (now.st_size, now.st_mtime_ns) == (self.file.size, self.file.mtime_ns)


def is_kept(path: bytes) -> bool:
    """Tell whether a path is meant to be kept: a name with a dot in front is work in progress."""
    return not any(part.startswith(b".") for part in path.split(b"/"))


def open_upload(root: bytes, path: bytes, *, settled: bool, settle_seconds: float) -> Upload | State:
    """Open a file that is whole.

    Args:
        root: The folder.
        path: The file in it.
        settled: Whether its writer was seen to close it, or to rename it into place.
        settle_seconds: For how long a file whose writer was not seen must have been at rest.

    Returns:
        The file, to be closed by the caller, or why not.

    Raises:
        OSError: It cannot be read.
    """
    if not is_kept(path):
        return State.GONE
    try:
        descriptor = os.open(joined(root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return State.GONE
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            return State.GONE
        raise
    found = _look(descriptor, path, settled, settle_seconds)
    if isinstance(found, State):
        os.close(descriptor)
        return found
    return Upload(descriptor, found)


def _look(descriptor: int, path: bytes, settled: bool, settle_seconds: float) -> ShippedFile | State:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return State.GONE
    at_rest = time.time() - status.st_mtime >= settle_seconds
    if not settled and not at_rest:
        return State.GROWING
    name = path.rpartition(b"/")[2]
    if _SHA256.fullmatch(name):
        digest = hashlib.sha256()
        for block in _read(descriptor, 0, status.st_size):
            digest.update(block)
        if digest.hexdigest().encode() != name:
            return State.DAMAGED if at_rest else State.GROWING
    return ShippedFile(
        path=path,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size,
        offset=0,
        length=status.st_size,
    )


def _read(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        block = os.pread(descriptor, min(_BLOCK, end - offset), offset)
        if not block:
            raise EOFError
        offset += len(block)
        yield block
