"""A vault written by format 1's first Coffer must open for ever: by Coffer, and by a stranger with the document.

The identity beside it protects nothing but this vault.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from coffer.keys import Identity
from coffer.vault.reader import VaultReader
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World, read_tree
from tests.unit.vault.stranger import Stranger

GOLDEN = Path(__file__).parent / "golden"


def noise(size: int, seed: str) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


RELATION = noise(5 * 8192, "relation")
CHANGED = RELATION[:8192] + noise(8192, "page 1") + RELATION[16384:24576] + noise(8192, "page 3") + RELATION[32768:]
FIRST = {b"dir/text": b"the same line\n" * 500, b"odd\xff\nname": b"odd", b"empty": b"", b"relation": RELATION}
FIRST |= {b"sparse": bytes(2 << 20) + b"end"}
SECOND = {**FIRST, b"relation": CHANGED, b"new": b"new"}
WAL = b"log" * 1000


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    with zipfile.ZipFile(GOLDEN / "vault-1.zip") as archive:
        archive.extractall(tmp_path / "vault")
    return FileStore(tmp_path / "vault")


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    for name in ("identity.json", "identity.json.pub"):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    return Identity.load(tmp_path / "identity.json")


def stranger(folder: Path, identity: Identity) -> Stranger:
    [root] = identity.recipient.vaults.values()
    return Stranger(folder, identity.seed, identity.recipient.public, root)


def test_coffer_opens_it(store: FileStore, identity: Identity, tmp_path: Path) -> None:
    reader = VaultReader.open([store], identity)
    assert reader.root_is_pinned
    first, second = reader.points("golden")
    for number, (point, files) in enumerate(((first, FIRST), (second, SECOND))):
        reader.restore(point, "files", tmp_path / f"out{number}")
        assert read_tree(tmp_path / f"out{number}") == files
        assert (tmp_path / f"out{number}/link").readlink() == Path("dir/text")
    assert reader.facts(first, "files") == {"lsn": "0/1"}
    assert reader.get_wal(CLUSTER, SEGMENT) == WAL
    assert reader.verify().ok
    assert verify_at_rest([store]).ok


def test_a_stranger_opens_it(store: FileStore, identity: Identity) -> None:
    reader = stranger(store.root, identity)
    first, second = reader.points()
    assert reader.files(first, "files") == FIRST
    assert reader.files(second, "files") == SECOND
    assert (first["kind"], second["kind"], second["parent"]) == ("full", "incremental", first["name"])
    assert reader.wal(CLUSTER, SEGMENT) == WAL
    assert all((store.root / name).is_file() for point in (first, second) for name in reader.listed(point))


def test_a_stranger_opens_what_is_written_today(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    files = {b"a": noise(1_500_000, "a"), b"b": b"text\n" * 100_000, b"c": b"small"}
    world.back_up(Tree(files))
    world.back_up(Tree({**files, b"d": b"new"}, same=frozenset(files)))
    world.writer().put_wal(CLUSTER, SEGMENT, WAL)
    reader = stranger(tmp_path / "store", world.identity)
    assert reader.files(reader.points()[-1], "files") == {**files, b"d": b"new"}
    assert reader.wal(CLUSTER, SEGMENT) == WAL
