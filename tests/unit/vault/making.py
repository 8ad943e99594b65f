"""What the vault's tests share: a small vault, sources made of dictionaries, and ways to do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.sources.walking import telling, walk
from coffer.vault.capture import Entry, EntryType, Fact, Kind, Parent, SourceSink
from coffer.vault.creation import create_vault
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from coffer.vault.writer import VaultWriter

CLUSTER = "7300000000000000001"
SEGMENT = "000000010000000000000003"


@dataclass
class Tree:
    """A source made of a dictionary: path to content; `pages` are sent as overlays, `same` as unchanged."""

    files: Mapping[bytes, bytes]
    name: str = "files"
    kind: str = "files"
    folders: Sequence[bytes] = ()
    links: Mapping[bytes, bytes] = field(default_factory=dict)
    pages: Mapping[bytes, Sequence[int]] = field(default_factory=dict)
    same: frozenset[bytes] = frozenset()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    block: int = 1000

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        for path in self.folders:
            sink.add(Entry(path, EntryType.DIRECTORY, 0o755))
        for path, target in self.links.items():
            sink.add(Entry(path, EntryType.SYMLINK, 0o777, target=target))
        for path, content in self.files.items():
            entry = Entry(path, mode=0o640, mtime_ns=1_700_000_000_000_000_000)
            if path in self.same:
                sink.add_unchanged(entry)
            elif path in self.pages:
                numbers = np.array(self.pages[path], np.uint32)
                padded = content + bytes(-len(content) % 8192)
                sink.add_pages(
                    entry, len(content), numbers, (padded[8192 * n : 8192 * n + 8192] for n in numbers.tolist())
                )
            else:
                sink.add_file(entry, (content[at : at + self.block] for at in range(0, len(content), self.block)))
        return self.facts


class World:
    """A vault with one writer and one identity."""

    def __init__(self, folder: Path, stores: Sequence[Store] | None = None) -> None:
        self.folder = folder
        self.passed = timedelta()
        self.stores: list[Store] = list(stores) if stores is not None else [MemoryStore()]
        generate_identity(folder / "id")
        create_vault(self.stores, [Recipient.load(folder / "id.pub")], folder / "writer")

    def now(self) -> datetime:
        """The one clock of this world, once `pass_time` was called: its memory stores' and everybody's."""
        return datetime.now(UTC) + self.passed

    def pass_time(self, **duration: float) -> None:
        self.passed += timedelta(**duration)
        for store in self.stores:
            if isinstance(store, MemoryStore):
                store.clock = self.now

    @property
    def memory(self) -> MemoryStore:
        store = self.stores[0]
        assert isinstance(store, MemoryStore)
        return store

    @property
    def credentials(self) -> WriterCredentials:
        return WriterCredentials.load(self.folder / "writer")

    @property
    def identity(self) -> Identity:
        return Identity.load(self.folder / "id")

    def writer(self, stores: Sequence[Store] | None = None) -> VaultWriter:
        return VaultWriter.open(self.stores if stores is None else stores, self.credentials)

    def reader(self, stores: Sequence[Store] | None = None) -> VaultReader:
        return VaultReader.open(self.stores if stores is None else stores, self.identity)

    def back_up(
        self, *sources: Tree, kind: Kind = Kind.INCREMENTAL, service: str = "app", stores: Sequence[Store] | None = None
    ) -> Point:
        with self.writer(stores).begin_point(service=service, kind=kind, started=self.now()) as builder:
            for source in sources:
                builder.capture(source)
            return builder.commit({})

    def restore(
        self, target: str = "out", *, stores: Sequence[Store] | None = None, point: str = "latest"
    ) -> dict[bytes, bytes]:
        reader = self.reader(stores)
        reader.restore(reader.point(point), "files", self.folder / target)
        return read_tree(self.folder / target)


def look_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a walk look at nothing before it has to, so that a test knows what was seen when."""
    monkeypatch.setattr(walk, "_AHEAD", 0)
    monkeypatch.setattr(walk, "_SLICE", 1)
    monkeypatch.setattr(walk, "_MOST_CONTENT", 0)
    monkeypatch.setattr(telling, "_BATCH", 1)


def read_tree(folder: Path) -> dict[bytes, bytes]:
    """Return the files below a folder."""
    root = bytes(folder)
    return {
        bytes(path)[len(root) + 1 :]: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
