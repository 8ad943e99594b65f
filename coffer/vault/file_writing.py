"""Chunks written to the files that they are parts of; every byte is proven before it is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import groupby
from operator import itemgetter

from coffer.errors import IntegrityError
from coffer.vault.chunk_reader import ChunkReader, Range
from coffer.vault.index_keys import IndexKeys
from coffer.vault.restore_plan import Fetch, Pieces
from coffer.vault.target_attributes import Attributes
from coffer.vault.target_files import FileInWork, FilesInWork
from coffer.vault.target_folder import TargetFolder
from coffer.vault.trees import TreeEntry
from coffer.vault.writing_parts import write_all, write_differences

_BUSY = max(2, os.cpu_count() or 1)
_SMALL_FILES = 8
"""Pieces of one chunk beyond which one thread writes them while others open chunks: two that make small files side by
side pass the interpreter to and fro at each system call, which costs more than the calls."""


class FileWriter:
    """Fetches, opens and writes; safe to call from several threads.

    However many wait for stores, only as many as there are processors open and write: memory stays small.
    """

    def __init__(
        self,
        keys: IndexKeys,
        chunks: ChunkReader,
        target: TargetFolder,
        attributes: Attributes,
        count: Callable[[int], None],
    ) -> None:
        self._keys = keys
        self._chunks = chunks
        self._target = target
        self._attributes = attributes
        self._count = count
        self._in_work = FilesInWork(target, attributes)
        self._processors = threading.BoundedSemaphore(_BUSY)
        self._small_files = threading.Lock()

    def write(self, fetch: Fetch, files: Sequence[FileInWork]) -> None:
        """Fetch a part of a pack and write what it holds; raises as `ChunkReader.open` and `os.write` do."""
        fetched = self._chunks.fetch(fetch.pack, fetch.begin, fetch.length)
        with self._processors:
            for number, pieces in fetch.chunks:
                self._write_chunk(number, fetched, pieces, files)

    def write_empty(self, files: Sequence[FileInWork]) -> None:
        """Make files that have no content but zeros."""
        for file in files:
            mode = self._attributes.first_mode(file.entry)
            descriptor = self._target.create(file.path, mode)
            try:
                if file.entry.size:
                    os.ftruncate(descriptor, file.entry.size)
                self._attributes.settle(descriptor, file.entry, mode)
            finally:
                os.close(descriptor)
            self._count(file.entry.size)

    def close(self) -> None:
        """Close what a failure left open."""
        self._in_work.close()

    def _write_chunk(self, number: int, fetched: Range, pieces: Pieces, files: Sequence[FileInWork]) -> None:
        content = memoryview(self._chunks.open(number, fetched))
        with self._small_files if len(pieces) > _SMALL_FILES else nullcontext():
            self._write_content(content, pieces, files)
        self._count(int(pieces["length"].sum(dtype="i8")))

    def _write_content(self, content: memoryview, pieces: Pieces, files: Sequence[FileInWork]) -> None:
        for place, mine in groupby(pieces.tolist(), key=itemgetter(3)):
            file = files[place]
            entry = file.entry
            of_file = list(mine)
            if file.left == len(of_file) == 1 and not file.made:
                _, offset, length, _, at = of_file[0]
                self._write_whole(file.path, entry, content[offset : offset + length], at)
            else:
                self._write_pieces(file, content, of_file)

    def _write_whole(self, path: bytes, entry: TreeEntry, content: memoryview, at: int) -> None:
        """Write a file that is one piece: proven against its own hash too, where there is one."""
        if entry.hash and self._keys.chunk_id(content) != entry.hash:
            raise IntegrityError("A file is not what was backed up", detail=repr(entry.path))
        mode = self._attributes.first_mode(entry)
        descriptor = self._target.create(path, mode)
        try:
            if content.nbytes != entry.size:
                os.ftruncate(descriptor, entry.size)
            write_all(descriptor, content, at)
            self._attributes.settle(descriptor, entry, mode)
        finally:
            os.close(descriptor)

    def _write_pieces(self, file: FileInWork, content: memoryview, pieces: Sequence[tuple[int, ...]]) -> None:
        with self._in_work.opened(file, len(pieces)) as descriptor:
            write = write_differences if file.compared else write_all
            for _, offset, length, _, at in pieces:
                write(descriptor, content[offset : offset + length], at)
