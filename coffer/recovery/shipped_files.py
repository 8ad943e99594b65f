"""Writes files that were shipped between points into a restored folder."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import IntegrityError, OutsideSystemError
from coffer.vault.journal import Shipment, ShippedFile
from coffer.vault.reader import VaultReader

_LATER = b".coffer-shipping"


@dataclass
class Added:
    """What was written: files, their bytes, and the time it took."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0


class ShippedFiles:
    """Files of shipments, each as it was shipped last.

    Args:
        reader: The vault.
        shipments: The shipments, oldest first.

    Attributes:
        wanted: The newest whole version of each path.
    """

    def __init__(self, reader: VaultReader, shipments: Sequence[Shipment]) -> None:
        self._reader = reader
        self._shipments = shipments
        self.wanted: dict[bytes, ShippedFile] = {}
        covered: dict[tuple[bytes, int, int], int] = {}
        for shipment in shipments:
            for part in shipment.files:
                done = covered.get(part.version, 0)
                if part.offset == done:
                    done = covered[part.version] = done + part.length
                if done >= part.size:
                    self.wanted[part.path] = part

    def write(self, destination: Path, *, keep_newer: bool = True) -> Added:
        """Write those that the folder lacks; a version that is there already is left as it is.

        Args:
            destination: The folder.
            keep_newer: Leave a newer version of a file, too: the folder is as it was before the moment, not after it.

        Raises:
            IntegrityError: Content is missing or not genuine, or a path leads through a link.
            OutsideSystemError: The disk failed.
        """
        began = time.monotonic()
        added = Added()
        root = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
        try:
            lacking = {part.version for part in self.wanted.values() if not _is_there(root, part, keep_newer)}
            for shipment in self._shipments:
                if lacking.intersection(part.version for part in shipment.files):
                    self._write_shipment(root, shipment, lacking, added)
            if added.files:
                os.sync()
        except OSError as error:
            raise OutsideSystemError("A shipped file cannot be written", detail=str(error)) from error
        finally:
            os.close(root)
        added.seconds = time.monotonic() - began
        return added

    def _write_shipment(
        self, root: int, shipment: Shipment, lacking: set[tuple[bytes, int, int]], added: Added
    ) -> None:
        content = memoryview(self._reader.shipped_content(shipment))
        at = 0
        for part in shipment.files:
            piece = content[at : at + part.length]
            at += part.length
            if len(piece) != part.length:
                raise IntegrityError("A shipment is shorter than its files", detail=shipment.name)
            if part.version in lacking:
                _write_part(root, part, piece)
                added.bytes += part.length
                if part.offset + part.length == part.size:
                    _finish(root, part)
                    lacking.discard(part.version)
                    added.files += 1


def _is_there(root: int, part: ShippedFile, or_newer: bool) -> bool:
    """Tell whether a path holds this version."""
    folder = _open_folder(root, part.path, make=False)
    if folder is None:
        return False
    try:
        status = os.stat(_name(part.path), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(folder)
    same = (status.st_size, status.st_mtime_ns) == (part.size, part.mtime_ns)
    return stat.S_ISREG(status.st_mode) and (same or (or_newer and status.st_mtime_ns > part.mtime_ns))


def _write_part(root: int, part: ShippedFile, content: memoryview) -> None:
    folder = _open_folder(root, part.path, make=True)
    assert folder is not None  # noqa: S101 - it was made
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if part.offset == 0 else 0)
    try:
        descriptor = os.open(_later(part), flags, 0o600, dir_fd=folder)
        try:
            done = 0
            while done < len(content):
                done += os.pwrite(descriptor, content[done:], part.offset + done)
        finally:
            os.close(descriptor)
    finally:
        os.close(folder)


def _finish(root: int, part: ShippedFile) -> None:
    folder = _open_folder(root, part.path, make=False)
    if folder is None:
        raise IntegrityError("A shipped file's folder is gone", detail=repr(part.path))
    try:
        descriptor = os.open(_later(part), os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder)
        try:
            if os.geteuid() == 0:
                os.fchown(descriptor, part.uid, part.gid)
            os.fchmod(descriptor, part.mode)
            os.utime(descriptor, ns=(part.mtime_ns, part.mtime_ns))
        finally:
            os.close(descriptor)
        os.rename(_later(part), _name(part.path), src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _open_folder(root: int, path: bytes, *, make: bool) -> int | None:
    """Open the folder of a path, never through a link; None if it is absent and is not to be made."""
    folder = os.dup(root)
    for name in path.split(b"/")[:-1]:
        try:
            if make:
                _make(name, folder)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise IntegrityError("A shipped file's path leads through no folder", detail=repr(path)) from error
        finally:
            os.close(folder)
        folder = inner
    return folder


def _make(name: bytes, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _later(part: ShippedFile) -> bytes:
    return _LATER + b"-" + _name(part.path)[-200:]
