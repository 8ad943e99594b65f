"""From a data folder to the entries of a point."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np

from coffer.sources.postgres import page_checks, relation_files
from coffer.sources.postgres.data_folder import Found
from coffer.sources.postgres.page_reader import PageReader, numbers
from coffer.sources.postgres.relation_files import RelationFile
from coffer.vault.capture import PAGE_SIZE, Entry, EntryType, SourceSink

SMALL = 128 << 10
"""Files up to this size are read here, many at a time; larger ones in the vault's threads."""
_BATCH = 2 << 20


class DirectTree:
    """Pushes files of a data folder, whole.

    Args:
        sink: Where they go.
        reader: How they are read.
    """

    def __init__(self, sink: SourceSink, reader: PageReader) -> None:
        self._sink = sink
        self._reader = reader
        self._waiting: list[tuple[Found, RelationFile | None, bytes]] = []
        self._size = 0

    def take(self, every: Iterable[Found]) -> None:
        """Push files and folders."""
        for found in every:
            if found.is_file:
                self.add_whole(found, relation_files.parse(found.path))
            else:
                self._sink.add(entry_of(found, EntryType.DIRECTORY))
        self.flush()

    def add_whole(self, found: Found, relation: RelationFile | None) -> None:
        """Push a file with all its content."""
        if found.size > SMALL:
            self._sink.add_parts(
                entry_of(found),
                found.size,
                lambda offset, length: self._reader.read(found.path, relation, offset, length),
            )
            return
        # Checked together: one call on two megabytes costs what one on a page does.
        data = self._reader.files.whole(found.path, found.size)
        if data is None:
            return  # dropped meanwhile: replay knows
        self._waiting.append((found, relation, data))
        self._size += found.size
        if self._size > _BATCH:
            self.flush()

    def flush(self) -> None:
        """Check and push the small files that wait."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        for found, data in self._checked(waiting):
            self._sink.add_file(entry_of(found), [data] if data else [])

    def _checked(self, files: list[tuple[Found, RelationFile | None, bytes]]) -> Iterator[tuple[Found, bytes]]:
        if not self._reader.checks:
            yield from ((found, data) for found, _, data in files)
            return
        pages = [len(data) // PAGE_SIZE if relation else 0 for _, relation, data in files]
        content = b"".join(data[: count * PAGE_SIZE] for (_, _, data), count in zip(files, pages, strict=True))
        firsts = np.repeat([relation.first_page if relation else 0 for _, relation, _ in files], pages)
        ends = np.cumsum(pages)
        blocks = (np.arange(len(firsts)) - np.repeat(ends - pages, pages) + firsts).astype(np.uint32)
        wrong = page_checks.wrong_pages(content, blocks)
        suspects = set(np.searchsorted(ends, wrong, side="right").tolist())
        for number, (found, relation, data) in enumerate(files):
            if number in suspects and relation is not None:
                yield found, self._reader.checked(found.path, relation, data, numbers(0, len(data)))
            else:
                yield found, data


def entry_of(found: Found, type: EntryType = EntryType.FILE) -> Entry:
    """Return the entry of a file or folder."""
    return Entry(path=found.path, type=type, mode=found.mode, uid=found.uid, gid=found.gid, mtime_ns=found.mtime_ns)


def made_file(path: bytes, like: Found) -> Entry:
    """Return the entry of a file that is made here, owned as the data folder is."""
    return Entry(path=path, mode=0o600, uid=like.uid, gid=like.gid, mtime_ns=time.time_ns())
