"""Writes a tree into an empty folder: files in threads, links after them, names in `last` at the very end."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from coffer.errors import IntegrityError, OutsideSystemError, StoreFull, UnsafeTarget
from coffer.vault import extents
from coffer.vault.capture import EntryType
from coffer.vault.chunk_reader import ChunkReader
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.trees import TreeEntry, type_number

_WORKERS = 4
_FILE, _DIRECTORY, _SYMLINK = (type_number(kind) for kind in (EntryType.FILE, EntryType.DIRECTORY, EntryType.SYMLINK))
_LATER = b".coffer-last"


@dataclass(frozen=True)
class RestoreSummary:
    """What a restore did.

    Attributes:
        files: Files written.
        directories: Folders made.
        symlinks: Links made.
        bytes: Bytes of content.
        seconds: Time it took, all of it durable.
        notes: Which stores failed or held bad objects, although another helped.
    """

    files: int
    directories: int
    symlinks: int
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


def with_notes(summary: RestoreSummary, notes: Sequence[str]) -> RestoreSummary:
    """Return a summary that says what went wrong on the way."""
    return replace(summary, notes=tuple(notes))


def check_file(keys: IndexKeys, entry: TreeEntry, content: bytes) -> None:
    """Compare a file with the manifest where that holds a hash of the whole; its chunks are proven already.

    Raises:
        IntegrityError: It is another file.
    """
    if entry.hash and keys.chunk_id(content) != entry.hash:
        raise IntegrityError("A file is not what was backed up", detail=repr(entry.path))


class Restore:
    """One restore into one folder."""

    def __init__(
        self,
        keys: IndexKeys,
        chunks: ChunkReader,
        numbers: ChunkNumbers,
        destination: Path,
        last: frozenset[bytes],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._keys = keys
        self._chunks = chunks
        self._numbers = numbers
        self._root = os.fsencode(destination)
        self._destination = destination
        self._last = last
        self._progress = progress
        self._lock = threading.Lock()
        self._done = 0
        self._total = 0
        self._failed = threading.Event()

    def run(self, entries: Sequence[TreeEntry]) -> RestoreSummary:
        """Write the entries; see `VaultReader.restore`."""
        before = time.monotonic()
        kinds = {kind: [entry for entry in entries if entry.type == kind] for kind in (_FILE, _DIRECTORY, _SYMLINK)}
        self._total = sum(entry.size for entry in kinds[_FILE])
        _make_empty(self._destination)
        try:
            self._make_folders(kinds[_DIRECTORY], entries)
            self._write_files(kinds[_FILE])
            for entry in kinds[_SYMLINK]:  # after the files: no file can be written through a link
                self._make_link(entry)
            _sync_file_system(self._destination)
            self._name_last(kinds[_FILE])
            for entry in reversed(kinds[_DIRECTORY]):
                self._set_owner_and_times(self._path(entry.path), entry)
            _sync_file_system(self._destination)
        except OSError as error:
            raise _translate(error) from error
        counts = {kind: len(of_kind) for kind, of_kind in kinds.items()}
        return RestoreSummary(
            counts[_FILE], counts[_DIRECTORY], counts[_SYMLINK], self._total, time.monotonic() - before
        )

    def _make_folders(self, folders: Sequence[TreeEntry], entries: Sequence[TreeEntry]) -> None:
        for entry in folders:
            os.makedirs(self._path(entry.path), 0o700, exist_ok=True)  # noqa: PTH103 - names are bytes
        for parent in {os.path.dirname(entry.path) for entry in entries}:  # noqa: PTH120
            os.makedirs(self._path(parent), 0o700, exist_ok=True)  # noqa: PTH103

    def _write_files(self, files: Sequence[TreeEntry]) -> None:
        with ThreadPoolExecutor(_WORKERS, "coffer-restore") as pool:
            futures = [pool.submit(self._write_unless_failed, entry) for entry in files]
            for future in futures:
                future.result()

    def _write_unless_failed(self, entry: TreeEntry) -> None:
        if self._failed.is_set():
            return
        try:
            self._write_file(entry)
        except BaseException:
            self._failed.set()
            raise

    def _write_file(self, entry: TreeEntry) -> None:
        path = self._path(entry.path) + (_LATER if entry.path in self._last else b"")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            for chunk, offset, length in extents.from_bytes(entry.extents).tolist():
                if chunk == extents.HOLE:
                    os.lseek(descriptor, length, os.SEEK_CUR)
                else:
                    content = self._chunks.read(self._numbers.id(chunk))
                    self._check_piece(entry, content, offset, length)
                    _write_all(descriptor, memoryview(content)[offset : offset + length])
            os.ftruncate(descriptor, entry.size)
            self._set_owner_and_times(descriptor, entry)
        finally:
            os.close(descriptor)
        self._count(entry.size)

    def _check_piece(self, entry: TreeEntry, content: bytes, offset: int, length: int) -> None:
        if offset + length > len(content):
            raise IntegrityError("A file's page map reaches beyond its chunk", detail=repr(entry.path))
        if entry.hash and self._keys.chunk_id(memoryview(content)[offset : offset + length]) != entry.hash:
            raise IntegrityError("A file is not what was backed up", detail=repr(entry.path))

    def _make_link(self, entry: TreeEntry) -> None:
        path = self._path(entry.path)
        os.symlink(entry.target, path)  # noqa: PTH211
        if os.geteuid() == 0:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _name_last(self, files: Sequence[TreeEntry]) -> None:
        for entry in files:
            if entry.path in self._last:
                path = self._path(entry.path)
                os.rename(path + _LATER, path)  # noqa: PTH104

    def _set_owner_and_times(self, place: int | bytes, entry: TreeEntry) -> None:
        if os.geteuid() == 0:
            os.chown(place, entry.uid, entry.gid)
        os.chmod(place, stat.S_IMODE(entry.mode))  # noqa: PTH101
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))

    def _path(self, path: bytes) -> bytes:
        return self._root + b"/" + path

    def _count(self, size: int) -> None:
        with self._lock:
            self._done += size
            if self._progress:
                self._progress(self._done, self._total)


def _make_empty(destination: Path) -> None:
    try:
        destination.mkdir(mode=0o700, parents=True, exist_ok=True)
        occupied = next(iter(destination.iterdir()), None)
    except OSError as error:
        raise UnsafeTarget("The target is no folder to write to", detail=f"{destination}: {error.strerror}") from error
    if occupied is not None:
        raise UnsafeTarget(
            "The target is not empty",
            detail=f"{destination} holds {occupied.name}",
            resolution="Restore into an empty folder",
        )


def _write_all(descriptor: int, content: memoryview) -> None:
    while content.nbytes:
        content = content[os.write(descriptor, content) :]


def _sync_file_system(folder: Path) -> None:
    """Make everything below durable at once: one barrier is cheaper than an fsync a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs failed")
    finally:
        os.close(descriptor)


def _translate(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull("The disk is full", detail=str(error), resolution="Restore to a larger one")
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
        return IntegrityError("A point names two things at one path", detail=str(error))
    return OutsideSystemError("The target cannot be written", detail=str(error))
