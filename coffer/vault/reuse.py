"""What stands in a target already and need not be written again: proven by hash, part by part."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial

from coffer.vault.chunk_table import ChunkTable
from coffer.vault.existing_folder import ExistingFolder
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np
from coffer.vault.restore_plan import Pieces
from coffer.vault.restore_workers import Workers
from coffer.vault.target_attributes import Attributes
from coffer.vault.target_files import CREATED, FileInWork
from coffer.vault.writing_parts import write_differences

_ZEROS = memoryview(bytes(1 << 20))
_THREADS = max(2, os.cpu_count() or 1)
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR}


class Reuse:
    """Looks through files that are to be restored for parts that are there.

    A part that is a whole chunk is proven by the chunk's id. One that is a piece of a chunk (a few pages of an
    increment, or what such pages left of the chunk beneath) is fetched, and written where it differs.

    Args:
        keys: The vault's index keys.
        table: Where each chunk is.
        target: The folder.
        attributes: Finish files of which nothing is missing.
        count: Takes bytes that need not be written.

    Attributes:
        bytes: Bytes that were found.
    """

    def __init__(
        self,
        keys: IndexKeys,
        table: ChunkTable,
        target: ExistingFolder,
        attributes: Attributes,
        count: Callable[[int], None],
    ) -> None:
        self._keys = keys
        self._table = table
        self._target = target
        self._attributes = attributes
        self._count = count
        self.bytes = 0

    def missing(self, files: Sequence[FileInWork], pieces: Pieces) -> Pieces:
        """Return the pieces that are still to be written; files of which none is are finished.

        Args:
            files: Files as planned.
            pieces: Their pieces, in order of files.
        """
        wanted = np.ones(len(pieces), bool)
        bounds = np.searchsorted(pieces["file"], np.arange(len(files) + 1))
        jobs = (
            partial(self._look, file, pieces[begin:end], wanted[begin:end])
            for file, begin, end in zip(files, bounds.tolist(), bounds[1:].tolist(), strict=False)
        )
        Workers(_THREADS, self._target.forget_thread).run(jobs)
        found = int(pieces["length"][~wanted].sum(dtype=np.int64))
        self.bytes += found
        self._count(found)
        left: Pieces = pieces[wanted]
        return left

    def _look(self, file: FileInWork, pieces: Pieces, wanted: NDArray[np.bool_]) -> None:
        try:
            descriptor = self._target.reopen(file.path)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return
        try:
            held = self._compare(file, descriptor, pieces)
            if held is None:
                self._target.remove(file.path)
                return
            wanted[:] = ~held
            file.made = file.compared = True
            self._target.as_new(descriptor, CREATED)
            if held.all():
                self._attributes.settle(descriptor, file.entry, CREATED)
        finally:
            os.close(descriptor)

    def _compare(self, file: FileInWork, descriptor: int, pieces: Pieces) -> NDArray[np.bool_] | None:
        """Tell which pieces are there, or None if the file is better made anew; bring it to its size and holes."""
        status, size = os.fstat(descriptor), file.entry.size
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or file.entry.link or not len(pieces):
            return None
        one_piece = int(pieces["length"][0]) == size
        if one_piece and status.st_size != size:
            return None
        os.ftruncate(descriptor, size)
        self._zero_holes(descriptor, pieces, size)
        held = np.array([self._holds(descriptor, file, *each) for each in pieces.tolist()], bool)
        return None if one_piece and not held[0] else held

    def _zero_holes(self, descriptor: int, pieces: Pieces, size: int) -> None:
        ends = (pieces["at"] + pieces["length"]).tolist()
        for begin, end in zip([0, *ends], [*pieces["at"].tolist(), size], strict=True):
            for at in range(begin, end, len(_ZEROS)):
                write_differences(descriptor, _ZEROS[: min(len(_ZEROS), end - at)], at)

    def _holds(
        self, descriptor: int, file: FileInWork, chunk: int, offset: int, length: int, _number: int, at: int
    ) -> bool:
        whole_chunk = offset == 0 and length == int(self._table.rows["size"][chunk])
        whole_file = file.entry.hash and length == file.entry.size
        if not whole_chunk and not whole_file:
            return False
        there = os.pread(descriptor, length, at)
        return self._keys.chunk_id(there) == (file.entry.hash if whole_file else self._table.id(chunk))
