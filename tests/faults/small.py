"""A vault so small that everything can be tried on it: one of each kind of object, and ways to put it back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coffer.vault import frames
from coffer.vault.capture import Kind
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FIRST = {b"a": os.urandom(3000), b"b": b"text" * 1000, b"c/d": b"x"}
SECOND = {**FIRST, b"e": os.urandom(200_000), b"b": b"other"}
WAL = os.urandom(2000)


def small_world(folder: Path, stores: Sequence[MemoryStore] | None = None) -> World:
    """Return a vault with a full point, an incremental one and a WAL file."""
    folder.mkdir(exist_ok=True)
    world = World(folder, stores)
    world.back_up(Tree(FIRST, folders=[b"c"]), kind=Kind.FULL)
    world.back_up(Tree(SECOND, folders=[b"c"], same=frozenset([b"a", b"c/d"])))
    world.writer().put_wal(CLUSTER, SEGMENT, WAL)
    world.reader().points()
    return world


def read_everything(world: World) -> None:
    """Read every byte of every point and all WAL, and compare it with what was backed up."""
    reader = VaultReader.open(world.stores, world.identity)
    for point, files in zip(reader.points(), (FIRST, SECOND), strict=True):
        found = {
            entry.path: reader.read_file(point, "files", entry.path)
            for entry in reader.entries(point, "files")
            if entry.type == "file"
        }
        assert found == files
    assert reader.get_wal(CLUSTER, SEGMENT) == WAL


@contextmanager
def harmed(store: MemoryStore) -> Iterator[dict[str, bytes]]:
    """Let a test do harm to a store's objects; afterwards they are as they were."""
    before = dict(store.objects)
    try:
        yield store.objects
    finally:
        store.objects.clear()
        store.objects.update(before)


def is_needed(name: str) -> bool:
    """Tell whether reading everything back needs an object; lists and the root key serve others."""
    return not name.startswith(("lists/", "keys/root", "keys/passphrase"))


def kind_of(name: str) -> str:
    """Return which kind of object a name is of: the purpose too, of keys."""
    first, second = name.split("/")[:2]
    return f"{first}/{second.split('-')[0]}" if first == "keys" else first


def renamed(name: str, data: bytes) -> str:
    """Return the name that altered bytes must bear to pass for an object at rest."""
    return f"{name[:-64]}{hashlib.sha256(data).hexdigest()}"


def flipped(data: bytes, at: int) -> bytes:
    """Return bytes with one of them changed."""
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def telling_places(data: bytes) -> list[int]:
    """Return where a flipped byte says most: magic, version, kind, each field of a header, some of the rest."""
    borders = {0, 5, 6, 7, 8, 24, frames.SIGNED_SIZE - 1, frames.SIGNED_SIZE, len(data) // 2, len(data) - 1}
    return sorted(at for at in borders if at < len(data))
