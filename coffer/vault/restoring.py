"""Writes a tree into an empty folder: content in threads, further names and links after it, folders' times last."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from coffer.errors import IntegrityError, OutsideSystemError, StoreFull, UnsafeTarget
from coffer.vault import restore_plan
from coffer.vault.chunk_reader import ChunkReader
from coffer.vault.existing_folder import ExistingFolder
from coffer.vault.file_writing import FileWriter
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import np
from coffer.vault.restore_survey import FILE, SYMLINK, Content, Survey, content_of
from coffer.vault.restore_workers import Job, Workers
from coffer.vault.reuse import Reuse
from coffer.vault.target_attributes import Attributes
from coffer.vault.target_files import FileInWork
from coffer.vault.target_folder import TargetFolder
from coffer.vault.trees import TreeEntry

JOBS = 4
"""Reads of a store at a time."""
_WINDOW = 1 << 17
"""Extents that are planned together: more would read a few bundles less often, and take more memory."""
_EMPTY_AT_ONCE = 256
_LATER = b".coffer-last"


@dataclass(frozen=True)
class RestoreSummary:
    """What a restore did.

    Attributes:
        files: Files written; names, where one file has several.
        directories: Folders made.
        symlinks: Links made.
        bytes: Bytes of content.
        seconds: Time it took, all of it durable.
        notes: Which stores failed or held bad objects although another helped; what could not be set.
        reused: Bytes that stood there already.
    """

    files: int
    directories: int
    symlinks: int
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()
    reused: int = 0


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
    """One restore into one folder.

    Args:
        keys: The vault's index keys.
        chunks: Where content comes from.
        survey: What to restore, looked at.
        destination: A folder that is empty or does not exist.
        what: What is being restored, for whoever finds it unfinished.
        last: Paths that get their name when all else is durable.
        progress: Called with bytes done and bytes in all.
        jobs: Reads of a store at a time.
        delta: The folder may hold anything: what is there already is not written again, what is not chosen goes.
        before_last: Called when all but `last` is written, before that gets its name.
    """

    def __init__(
        self,
        keys: IndexKeys,
        chunks: ChunkReader,
        survey: Survey,
        destination: Path,
        what: str,
        last: frozenset[bytes],
        progress: Callable[[int, int], None] | None,
        jobs: int = JOBS,
        delta: bool = False,
        before_last: Callable[[], None] | None = None,
    ) -> None:
        self._keys = keys
        self._chunks = chunks
        self._survey = survey
        self._destination = destination
        self._what = what
        self._last = last
        self._progress = progress
        self._jobs = jobs
        self._delta = delta
        self._before_last = before_last
        self._reuse: Reuse | None = None
        self._lock = threading.Lock()
        self._done = 0
        self._first_names: dict[Content, bytes] = {}
        self._more_names: list[tuple[bytes, bytes]] = []
        self._symlinks: list[TreeEntry] = []
        self._later: set[bytes] = set()
        self.notes: list[str] = []

    def run(self) -> RestoreSummary:
        """Write what the survey chose; see `VaultReader.restore`."""
        before = time.monotonic()
        target = (ExistingFolder if self._delta else TargetFolder)(self._destination, self._what)
        try:
            directories = self._write(target)
        except OSError as error:
            raise _translate(error, self._destination) from error
        finally:
            target.close()
        survey = self._survey
        seconds, reused = time.monotonic() - before, self._reuse.bytes if self._reuse else 0
        notes = tuple(self.notes)
        return RestoreSummary(survey.files, directories, survey.symlinks, survey.bytes, seconds, notes, reused)

    def _write(self, target: TargetFolder) -> int:
        attributes = Attributes(target.fresh, self.notes.append)
        folders = self._survey.wanted_folders()
        if isinstance(target, ExistingFolder):
            target.clear(self._survey.plain_files() - self._last, folders)
            self._reuse = Reuse(self._keys, self._chunks.table, target, attributes, self._count)
        target.make_folders(folders)
        writer = FileWriter(self._keys, self._chunks, target, attributes, self._count)
        try:
            Workers(self._jobs, target.forget_thread).run(self._work(writer))
        finally:
            writer.close()
        for path, existing in self._more_names:
            target.link(path, existing)
        for entry in self._symlinks:
            self._make_symlink(target, attributes, entry)
        if self._before_last is not None:
            self._before_last()
        if self._later:
            target.sync()
            self._name_last(target)
        self._settle_folders(target, attributes, folders)
        target.sync()
        target.finish()
        target.sync()
        return len(folders)

    def _work(self, writer: FileWriter) -> Iterator[Job]:
        """Yield the jobs, window by window: what is planned ahead does not grow with the tree."""
        window: list[FileInWork] = []
        extents = 0
        for entries in self._survey.chosen():
            for entry in entries:
                if entry.type == FILE and self._is_first_name(entry):
                    window.append(FileInWork(self._path(entry), entry, 0))
                    extents += len(entry.extents)
                elif entry.type == SYMLINK:
                    self._symlinks.append(entry)
            if extents > _WINDOW * 12:
                yield from self._plan(writer, window)
                window, extents = [], 0
        yield from self._plan(writer, window)

    def _plan(self, writer: FileWriter, files: Sequence[FileInWork]) -> Iterator[Job]:
        pieces = restore_plan.pieces_of([file.entry for file in files])
        if self._reuse is not None:
            pieces = self._reuse.missing(files, pieces)
        counts = np.bincount(pieces["file"], minlength=len(files)).tolist()
        for file, count in zip(files, counts, strict=True):
            file.left = count
        for fetch in restore_plan.fetches(pieces, self._chunks.table):
            yield partial(writer.write, fetch, files)
        empty = [file for file, count in zip(files, counts, strict=True) if not count and not file.made]
        for start in range(0, len(empty), _EMPTY_AT_ONCE):
            yield partial(writer.write_empty, empty[start : start + _EMPTY_AT_ONCE])

    def _is_first_name(self, entry: TreeEntry) -> bool:
        if not entry.link:
            return True
        path = self._path(entry)
        first = self._first_names.setdefault(content_of(entry), path)
        if first is not path:
            self._more_names.append((path, first))
        return first is path

    def _path(self, entry: TreeEntry) -> bytes:
        """Return where an entry is written at first."""
        if entry.path not in self._last:
            return entry.path
        self._later.add(entry.path)
        return entry.path + _LATER

    def _make_symlink(self, target: TargetFolder, attributes: Attributes, entry: TreeEntry) -> None:
        parent, _, name = entry.path.rpartition(b"/")
        descriptor = target.folder(parent)
        os.symlink(entry.target, name, dir_fd=descriptor)
        attributes.settle_link(descriptor, name, entry)

    def _name_last(self, target: TargetFolder) -> None:
        for path in sorted(self._later):
            target.rename(path + _LATER, path.rpartition(b"/")[2])

    def _settle_folders(self, target: TargetFolder, attributes: Attributes, folders: set[bytes]) -> None:
        """Set what folders are to be, the deepest first: doing it earlier would change their times again."""
        for path in sorted(folders, reverse=True):
            entry = self._survey.folders.get(path)
            if entry is not None:
                attributes.settle(target.folder(path), entry, 0o700)

    def _count(self, size: int) -> None:
        with self._lock:
            self._done += size
            if self._progress:
                self._progress(self._done, self._survey.bytes)


def _translate(error: OSError, destination: Path) -> Exception:
    detail = f"{destination}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            "The disk is full", detail=detail, resolution="Remove what was restored there; restore to a larger one"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
        return UnsafeTarget("Somebody else writes into the target", detail=detail)
    return OutsideSystemError("The target cannot be written", detail=detail)
