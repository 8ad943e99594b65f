"""Pages of a running server are checked as they come, and looked at again where one is wrong."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres import page_checks
from coffer.sources.postgres.bad_pages import BadPage
from coffer.sources.postgres.folder_reader import FolderReader
from coffer.sources.postgres.relation_files import RelationFile
from coffer.vault.capture import PAGE_SIZE

_PATIENCE = 0.5
"""Seconds for which a wrong page is read again: the server may be writing it, which takes microseconds."""
_PAUSE = 0.01
_MOST_WAITED_FOR = 64
"""With more wrong pages than this nobody is writing them: no more waiting."""


class PageReader:
    """Checks pages; safe to call from several threads.

    Args:
        files: The data folder.
        start: Position where the backup began: what a newer page holds, replay writes again.
        checks: Pages have checksums.
    """

    def __init__(self, files: FolderReader, start: int, *, checks: bool) -> None:
        self.files = files
        self.checks = checks
        self._start = start
        self._lock = threading.Lock()
        self._bad: list[BadPage] = []
        self._newer: list[BadPage] = []

    def read(self, path: bytes, relation: RelationFile | None, offset: int, length: int) -> bytes:
        """Return a part of a file, its pages checked."""
        data = self.files.padded(path, offset, length)
        if relation is None:
            return data
        return self.checked(path, relation, data, numbers(offset, length))

    def checked(self, path: bytes, relation: RelationFile, data: bytes, pages: NDArray[np.uint32]) -> bytes:
        """Return pages as they are once no one is writing them; those that stay wrong are remembered.

        Args:
            path: The file.
            relation: What it is.
            data: The pages' content; what follows the last whole page is passed on.
            pages: Their numbers within the file.
        """
        if not self.checks or not pages.size:
            return data
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
            content = b"".join(self.files.padded(path, int(page) * PAGE_SIZE, PAGE_SIZE) for page in pages[wrong])
            for number, place in enumerate(wrong.tolist()):
                data[place * PAGE_SIZE : (place + 1) * PAGE_SIZE] = content[number * PAGE_SIZE :][:PAGE_SIZE]
            still = page_checks.wrong_pages(content, pages[wrong] + np.uint32(relation.first_page))
            lsns, wrong = page_checks.lsns(content)[still], wrong[still]
            if bool(np.all(lsns >= self._start)) or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        found = [BadPage(path, int(page), int(lsn)) for page, lsn in zip(pages[wrong], lsns, strict=True)]
        with self._lock:
            self._bad += [page for page in found if page.lsn < self._start]
            self._newer += [page for page in found if page.lsn >= self._start]
        return bytes(data)


def numbers(offset: int, length: int) -> NDArray[np.uint32]:
    """Return the numbers, within a file, of the whole pages in a part that begins with a page."""
    return np.arange(offset // PAGE_SIZE, (offset + length) // PAGE_SIZE, dtype=np.uint32)
