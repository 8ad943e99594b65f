"""Reads relation files of a running server: pages are checked as they come, and looked at again where one is wrong."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coffer.errors import NotAllowed, OutsideSystemError
from coffer.sources.postgres import page_checks
from coffer.sources.postgres.relation_files import RelationFile
from coffer.vault.capture import PAGE_SIZE

_PATIENCE = 0.5
"""Seconds for which a wrong page is read again: the server may be writing it, which takes microseconds."""
_PAUSE = 0.01
_MOST_WAITED_FOR = 64
"""With more wrong pages than this nobody is writing them: no more waiting."""


@dataclass(frozen=True, order=True)
class BadPage:
    """A page that is not what PostgreSQL wrote.

    Attributes:
        path: The file.
        page: Which page of the file.
        lsn: What its header claims.
    """

    path: bytes
    page: int
    lsn: int = 0


class PageReader:
    """Reads files of one data folder; safe to call from several threads.

    Args:
        root: The data folder.
        start: Position where the backup began: what a newer page holds, replay writes again.
        checks: Pages have checksums.
    """

    def __init__(self, root: bytes, start: int, *, checks: bool) -> None:
        self._root = root
        self._start = start
        self.checks = checks
        self._lock = threading.Lock()
        self._bad: list[BadPage] = []
        self._newer: list[BadPage] = []

    def read(self, path: bytes, relation: RelationFile | None, offset: int, length: int) -> bytes:
        """Return a part of a file, filled up with zeros where the file has become shorter, as upstream does.

        Raises:
            NotAllowed: The file may not be read.
            OutsideSystemError: The file system failed.
        """
        data = self._read(path, offset, length)
        if len(data) < length:
            data += bytes(length - len(data))  # cut meanwhile: replay cuts it again
        if relation is None or not self.checks or offset % PAGE_SIZE:
            return data
        return self.checked(path, relation, data, self.numbers(offset, length))

    @staticmethod
    def numbers(offset: int, length: int) -> NDArray[np.uint32]:
        """Return the numbers, within the file, of the whole pages in a part of it."""
        return np.arange(offset // PAGE_SIZE, (offset + length) // PAGE_SIZE, dtype=np.uint32)

    def checked(self, path: bytes, relation: RelationFile, data: bytes, pages: NDArray[np.uint32]) -> bytes:
        """Return pages as they are once no one is writing them; those that stay wrong are remembered.

        Args:
            path: The file.
            relation: What it is.
            data: The pages' content; what follows the last whole page is passed on.
            pages: Their numbers within the file.
        """
        blocks = pages + np.uint32(relation.first_page)
        wrong = page_checks.wrong_pages(memoryview(data)[: pages.size * PAGE_SIZE], blocks)
        return data if not wrong.size else self._look_again(path, relation, bytearray(data), pages, wrong)

    def bad(self, stop: int) -> list[BadPage]:
        """Return the pages that stayed wrong, in order.

        Args:
            stop: Where the log stood when the backup ended: no page can truly be newer.
        """
        return sorted({*self._bad, *(page for page in self._newer if page.lsn > stop)})

    def _look_again(
        self,
        path: bytes,
        relation: RelationFile,
        data: bytearray,
        pages: NDArray[np.uint32],
        wrong: NDArray[np.int64],
    ) -> bytes:
        deadline = time.monotonic() + (_PATIENCE if len(self._bad) < _MOST_WAITED_FOR else 0)
        while True:
            for place in wrong.tolist():
                now = self._read(path, int(pages[place]) * PAGE_SIZE, PAGE_SIZE)
                at = place * PAGE_SIZE
                data[at : at + PAGE_SIZE] = now if len(now) == PAGE_SIZE else bytes(PAGE_SIZE)
            content = b"".join(data[place * PAGE_SIZE : (place + 1) * PAGE_SIZE] for place in wrong.tolist())
            still = page_checks.wrong_pages(content, pages[wrong] + np.uint32(relation.first_page))
            lsns = page_checks.lsns(content)[still]
            wrong = wrong[still]
            if not wrong.size or bool(np.all(lsns >= self._start)) or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        found = [BadPage(path, int(pages[place]), int(lsn)) for place, lsn in zip(wrong, lsns, strict=True)]
        with self._lock:
            self._bad += [page for page in found if page.lsn < self._start]
            self._newer += [page for page in found if page.lsn >= self._start]
        return bytes(data)

    def _read(self, path: bytes, offset: int, length: int) -> bytes:
        try:
            descriptor = os.open(self._root + b"/" + path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""  # dropped meanwhile: replay drops it again
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


def _unreadable(path: bytes, error: OSError) -> NotAllowed | OutsideSystemError:
    detail = f"{os.fsdecode(path)}: {error.strerror}"
    if isinstance(error, PermissionError):
        return NotAllowed("a file of the data folder may not be read", detail=detail)
    return OutsideSystemError("a file of the data folder cannot be read", detail=detail)
