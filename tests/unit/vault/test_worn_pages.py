"""What a restore would read in vain is stored anew from the live source, page by page, instead of a full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink
from coffer.vault.upkeep import reads_too_much
from tests.unit.vault.making import World

PAGE = 8192
PAGES = 9_000
PATH = b"base/5/1259"


@dataclass
class Relation:
    """One large file of pages, captured as `direct` does it."""

    content: bytearray
    changed: list[int] = field(default_factory=list)
    name: str = "postgres"
    kind: str = "postgres"
    reads_again: bool = True
    worn: int = 0

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        entry = Entry(PATH)
        if parent is None:
            sink.add_parts(entry, len(self.content), lambda at, length: bytes(self.content[at : at + length]))
            sink.wait_read()
            return {}
        worn = parent.worn_pages(PATH)
        self.worn = worn.size
        pages = np.union1d(worn, np.array(self.changed, np.uint32)).astype(np.uint32)
        portions = np.array_split(pages, 3)
        sink.add_changes(entry, parent.size_of(PATH) or 0, ((each, self.pages(each)) for each in portions))
        return {}

    def pages(self, numbers: np.ndarray) -> bytes:
        return b"".join(self.content[page * PAGE : (page + 1) * PAGE] for page in numbers.tolist())

    def write(self, pages: list[int], word: bytes) -> None:
        self.changed = pages
        for page in pages:
            self.content[page * PAGE : (page + 1) * PAGE] = (word + page.to_bytes(4, "big")) * (PAGE // 8)


def test_worn_pages_are_given_again_and_a_restore_reads_little(tmp_path: Path) -> None:
    world = World(tmp_path)
    source = Relation(bytearray(PAGES * PAGE))
    source.write(list(range(PAGES)), b"zero")
    world.back_up(source, kind=Kind.FULL)
    source.write([page for page in range(PAGES) if page % 2], b"half")
    world.back_up(source)
    assert source.worn == 0
    source.write([5], b"five")
    point = world.back_up(source)
    assert source.worn > PAGES // 4, "half of every chunk of the full is of no use any more"
    record = world.reader().access().catalogue.all()[-1].manifest.source("postgres")
    assert record is not None
    assert not reads_too_much(record.reads, record.live)
    assert point.stored < world.reader().points()[0].size
    assert world.reader().read_file(point, "postgres", PATH) == bytes(source.content)
