"""A vault written by format 1's first Coffer must open for ever: by Coffer, and by a stranger with the document.

The identities and the passphrase beside it protect nothing but this vault.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from coffer.errors import WrongKey
from coffer.keys import Identity
from coffer.keys.passphrase import Passphrase
from coffer.vault.reader import VaultReader
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.golden_tree import (
    FIRST,
    HARD_LINKS,
    PASSPHRASE,
    SECOND,
    SHIPPED,
    SYMLINKS,
    THIRD,
    WAL,
    XATTRS,
    noise,
)
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World, read_tree
from tests.unit.vault.stranger import Stranger

GOLDEN = Path(__file__).parent / "golden"
POINTS = (FIRST, SECOND, THIRD)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    with zipfile.ZipFile(GOLDEN / "vault-1.zip") as archive:
        archive.extractall(tmp_path / "vault")
    return FileStore(tmp_path / "vault")


def identity_in(folder: Path, name: str = "identity.json") -> Identity:
    for each in (name, f"{name}.pub"):
        shutil.copyfile(GOLDEN / each, folder / each)
    (folder / name).chmod(0o600)
    return Identity.load(folder / name)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return identity_in(tmp_path)


def stranger(folder: Path, identity: Identity) -> Stranger:
    [root] = identity.recipient.vaults.values()
    return Stranger(folder, identity.seed, root)


def test_coffer_opens_it(store: FileStore, identity: Identity, tmp_path: Path) -> None:
    reader = VaultReader.open([store], identity)
    assert reader.root_is_pinned
    points = reader.points("golden")
    assert [point.kind for point in points] == ["full", "incremental", "differential"]
    for number, (point, files) in enumerate(zip(points, POINTS, strict=True)):
        out = tmp_path / f"out{number}"
        reader.restore(point, "files", out)
        assert read_tree(out) == files
        assert {
            os.fsencode(path.name): os.fsencode(path.readlink()) for path in out.iterdir() if path.is_symlink()
        } == (SYMLINKS)
        one, two = (out / os.fsdecode(name) for name in HARD_LINKS)
        assert one.stat().st_ino == two.stat().st_ino
        assert {os.fsencode(name): os.getxattr(one, name) for name in os.listxattr(one)} == dict(XATTRS)
        assert one.stat().st_mtime_ns == 1_700_000_000_123_456_789
        assert one.stat().st_mode & 0o777 == 0o640
        assert (out / "sparse").stat().st_blocks < 1024
    assert reader.facts(points[0], "files") == {"lsn": "0/1", "none": None}
    assert reader.get_wal(CLUSTER, SEGMENT) == WAL
    shipments = reader.shipments("golden", "files")
    assert {each.files[0].path: reader.shipped_content(each) for each in shipments} == SHIPPED
    assert reader.proofs().of("golden", points[2].name, points[2].object_name).describe() != ""
    assert reader.retention.keep_last == 2
    assert reader.verify().ok
    assert verify_at_rest([store]).ok


def test_the_passphrase_opens_it_and_who_was_removed_does_not(store: FileStore, tmp_path: Path) -> None:
    removed = identity_in(tmp_path, "removed.json")
    [root] = removed.recipient.vaults.values()
    reader = VaultReader.open([store], Passphrase.of(PASSPHRASE), root=root)
    assert reader.read_file(reader.point("latest"), "files", b"later") == THIRD[b"later"]
    with pytest.raises(WrongKey):
        VaultReader.open([store], removed)


def test_a_stranger_opens_it(store: FileStore, identity: Identity) -> None:
    reader = stranger(store.root, identity)
    points = reader.points()
    for point, files in zip(points, POINTS, strict=True):
        entries = reader.entries(point, "files")
        assert reader.files(point, "files") == files
        assert {path: entry[8] for path, entry in entries.items() if entry[1] == 2} == SYMLINKS
        assert {path for path, entry in entries.items() if entry[10] == 7} == set(HARD_LINKS)
        assert all(entries[path][11] == [list(each) for each in XATTRS] for path in HARD_LINKS)
        assert all((store.root / name.rpartition("/")[0]).is_dir() for name in reader.listed(point))
    first, second, third = points
    assert (first["kind"], second["kind"], second["parent"]) == ("full", "incremental", first["name"])
    assert (third["kind"], third["parent"]) == ("differential", first["name"])
    assert reader.wal(CLUSTER, SEGMENT) == WAL
    assert reader.shipped("golden", "files") == SHIPPED
    assert [proof["result"] for proof in reader.proofs(third)] == ["passed"]
    assert any(name.startswith(f"points/golden/{first['name']}/") for name in reader.marked())
    assert len(reader.keys) == 3, "a new index key when a writer went, and when a recipient went"
    assert {0, 1, 2} == {place[4] for point in points for _, *place in reader.index(point).values()}


def test_a_stranger_opens_it_by_the_passphrase(store: FileStore, identity: Identity) -> None:
    [root] = identity.recipient.vaults.values()
    reader = Stranger.by_passphrase(store.root, PASSPHRASE, root)
    assert reader.files(reader.points()[-1], "files") == THIRD


def test_a_stranger_opens_what_is_written_today(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    files = {b"a": noise(1_500_000, "a"), b"b": b"text\n" * 100_000, b"c": b"small"}
    world.back_up(Tree(files))
    world.back_up(Tree({**files, b"d": b"new"}, same=frozenset(files)))
    world.writer().put_wal(CLUSTER, SEGMENT, WAL)
    reader = stranger(tmp_path / "store", world.identity)
    assert reader.files(reader.points()[-1], "files") == {**files, b"d": b"new"}
    assert reader.wal(CLUSTER, SEGMENT) == WAL
