"""From a data folder and an earlier point to the entries of an incremental one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from coffer.sources.postgres import page_checks, page_choice, relation_files
from coffer.sources.postgres.bad_pages import known_bad
from coffer.sources.postgres.data_folder import Found
from coffer.sources.postgres.direct_parent import PageChooser
from coffer.sources.postgres.direct_tree import SMALL, DirectTree, entry_of
from coffer.sources.postgres.page_choice import Pages
from coffer.sources.postgres.page_reader import PageReader
from coffer.sources.postgres.relation_files import RelationFile
from coffer.vault.capture import PAGE_SIZE, EntryType, Parent, SourceSink
from coffer.vault.read_ahead import ahead

_GAP = 8
_LONGEST = (4 << 20) // PAGE_SIZE
_MOST_CHANGED = 0.9
"""A file of which more has changed is taken whole: so does upstream."""


class _Run(NamedTuple):
    """Neighbouring pages that are read at once, and which of them are wanted in any case."""

    found: Found
    relation: RelationFile
    before: int
    first: int
    length: int
    wanted: Pages


class ChangedTree:
    """Pushes what changed since an earlier point.

    Main forks are taken by page. Everything else is read and compared by hash: neither a visibility map nor a free
    space map is fully in the log, and other files are not in it at all.
    """

    def __init__(self, sink: SourceSink, reader: PageReader, parent: Parent, chooser: PageChooser) -> None:
        self._sink = sink
        self._reader = reader
        self._parent = parent
        self._chooser = chooser
        self._whole = DirectTree(sink, reader)
        self._bad = known_bad(parent.facts)

    def take(self, every: Sequence[Found]) -> None:
        """Push files and folders."""
        changed: list[tuple[Found, list[_Run]]] = []
        for found in every:
            if not found.is_file:
                self._sink.add(entry_of(found, EntryType.DIRECTORY))
                continue
            relation = relation_files.parse(found.path)
            runs = self._runs(found, relation) if relation is not None and relation.fork == "main" else None
            if runs is None:
                self._whole.add_whole(found, relation)
            elif runs:
                changed.append((found, runs))
        self._whole.flush()
        self._take_changed(changed)

    def _runs(self, found: Found, relation: RelationFile) -> list[_Run] | None:
        """Return what to read of a main fork: nothing if it is as it was; None if it is to be taken whole."""
        chooser, path, size = self._chooser, found.path, found.size
        if not size or size % PAGE_SIZE or chooser.is_made_anew(relation) or (chooser.reads_all and size <= SMALL):
            return None
        before = self._parent.size_of(path)
        if before is None:
            return None
        count, earlier = size // PAGE_SIZE, before // PAGE_SIZE
        again = self._again(path, count)
        if not again.size and size == before and chooser.is_untouched(relation) and self._sink.add_as_before(path):
            return []
        chosen = chooser.pages(relation, count, earlier)
        if not chooser.reads_all:
            again = chosen = np.union1d(chosen, again).astype(np.uint32)
            if chosen.size > _MOST_CHANGED * count:
                return None
        gap = 0 if chooser.reads_all else _GAP
        spans = page_choice.runs(chosen, gap, _LONGEST) or [(0, 0)]
        return [_Run(found, relation, earlier, first, length, _within(again, first, length)) for first, length in spans]

    def _again(self, path: bytes, count: int) -> Pages:
        """Return pages that have to be read although nothing changed them: worn, or bad in the parent."""
        worn, bad = self._parent.worn_pages(path), self._bad.get(path)
        if bad is not None:
            worn = np.union1d(worn, bad).astype(np.uint32)
        return worn[worn < count] if worn.size else worn

    def _take_changed(self, changed: Sequence[tuple[Found, list[_Run]]]) -> None:
        contents = ahead(self._read, (run for _, runs in changed for run in runs))
        for found, runs in changed:
            self._sink.add_changes(entry_of(found), found.size, _next(contents, len(runs)))

    def _read(self, run: _Run) -> tuple[Pages, bytes]:
        """Read a run; return its pages that changed and their content."""
        path, pages = run.found.path, np.arange(run.first, run.first + run.length, dtype=np.uint32)
        if not run.length:
            return pages, b""
        view = self._reader.files.window(path, run.first * PAGE_SIZE, run.length * PAGE_SIZE)
        chosen = np.isin(pages, run.wanted, assume_unique=True)
        if self._chooser.reads_all:
            chosen |= self._chooser.among(page_checks.lsns(view), pages, run.before)
        content = np.frombuffer(view, np.uint8).reshape(-1, PAGE_SIZE)[chosen].tobytes()
        return pages[chosen], self._reader.checked(path, run.relation, content, pages[chosen])


def _within(pages: Pages, first: int, length: int) -> Pages:
    begin, end = np.searchsorted(pages, (first, first + length))
    return pages[begin:end]


def _next(contents: Iterator[tuple[Pages, bytes]], count: int) -> Iterable[tuple[Pages, bytes]]:
    for _ in range(count):
        yield next(contents)
