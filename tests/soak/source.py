"""A tiny source whose content the model knows: a few files, one of them made of pages."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coffer.vault.capture import Entry, Fact, Hole, Kind, Parent, SourceSink

PAGE = 8192
RELATION = b"base/relation"
Files = Mapping[bytes, bytes]


def next_tree(contents: Mapping[int, Files], luck: random.Random) -> Files:
    """Return a tree: mostly a changed one, now and then an earlier one again, or one that shares nothing."""
    chance = luck.random()
    if chance < 0.25:
        return contents[luck.randrange(len(contents))]
    if chance < 0.4:
        return {RELATION: luck.randbytes(PAGE), b"f0": luck.randbytes(40)}
    return changed(contents[len(contents) - luck.randint(1, min(2, len(contents)))], luck)


def changed(files: Files, luck: random.Random) -> dict[bytes, bytes]:
    """Return a tree after a little work: files added, removed, rewritten, pages changed, the relation cut or grown."""
    after = dict(files)
    for _ in range(luck.randint(0, 3)):
        path = b"f%d" % luck.randrange(5)
        if luck.random() < 0.25:
            after.pop(path, None)
        else:
            after[path] = luck.randbytes(1) * luck.choice((0, 1, 100, 3000)) + b"%d" % luck.randrange(50)
    if luck.random() < 0.5:
        after[RELATION] = _written(after.get(RELATION, b""), luck)
    return after


def _written(relation: bytes, luck: random.Random) -> bytes:
    pages = max(1, min(4, len(relation) // PAGE + luck.choice((-1, 0, 0, 0, 1))))
    content = bytearray(relation[: pages * PAGE].ljust(pages * PAGE, b"\0"))
    page = luck.randrange(pages)
    content[page * PAGE : page * PAGE + 8] = luck.randbytes(8)
    return bytes(content)


@dataclass(frozen=True)
class Source:
    """The tree as it is now, and what each earlier capture gave, by label."""

    label: int
    contents: Mapping[int, Files]
    name: str = "files"
    kind: str = "files"

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Say `unchanged` and give pages wherever the parent allows it."""
        before = self.contents[int(str(parent.facts["label"]))] if parent and kind is not Kind.FULL else {}
        for path, content in self.contents[self.label].items():
            entry = Entry(path, mode=0o640, mtime_ns=1_700_000_000_000_000_000)
            if before.get(path) == content:
                sink.add_unchanged(entry)
            elif path == RELATION and path in before:
                self._add_pages(sink, entry, before[path], content)
            elif path == RELATION:
                sink.add_file(entry, _with_holes(content))
            else:
                sink.add_file(entry, [content] if content else [])
        return {"label": self.label}

    def _add_pages(self, sink: SourceSink, entry: Entry, before: bytes, content: bytes) -> None:
        pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
        numbers = [n for n, page in enumerate(pages) if before[n * PAGE : n * PAGE + PAGE] != page]
        sink.add_pages(entry, len(content), np.array(numbers, np.uint32), [pages[n] for n in numbers])


def _with_holes(content: bytes) -> list[bytes | Hole]:
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    return [Hole(PAGE) if not any(page) else page for page in pages]
