"""What harm cannot do, beyond what tests/faults shows of every object: roots, heads, forgeries, a host that writes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.keys import Recipient, sealing
from coffer.vault import frames, packs
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(300_000), b"b": b"text" * 1000, b"c/d": b"x"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.back_up(Tree(FILES, folders=[b"c"]), kind=Kind.FULL)
    world.back_up(Tree({**FILES, b"e": os.urandom(200_000)}, folders=[b"c"], same=frozenset(FILES)))
    world.writer().put_wal(CLUSTER, SEGMENT, os.urandom(50_000))
    world.reader().points()
    return world


def of_kind(world: World, prefix: str) -> list[str]:
    return sorted(name for name in world.memory.objects if name.startswith(prefix))


def read_everything(world: World) -> None:
    reader = VaultReader.open(world.stores, world.identity)
    for point in reader.points():
        for entry in reader.entries(point, "files"):
            if entry.type == "file":
                reader.read_file(point, "files", entry.path)
    reader.get_wal(CLUSTER, SEGMENT)


def test_the_world_is_whole(world: World) -> None:
    read_everything(world)
    assert world.reader().verify().ok
    assert verify_at_rest(world.stores).ok
    kinds = {name.split("/")[0] for name in world.memory.objects}
    assert kinds == {"config", "keys", "packs", "trees", "index", "lists", "points", "wal"}


def test_a_flipped_byte_is_found_by_reading_back(world: World) -> None:
    for name, data in list(world.memory.objects.items()):
        if name.startswith(("packs/", "trees/", "index/", "points/", "wal/", "lists/")):
            world.memory.objects[name] = data[:-1] + bytes([data[-1] ^ 1])
            report = world.reader().verify()
            assert any(problem.object == name for problem in report.problems), name
            world.memory.objects[name] = data


def test_a_whole_other_vault_in_its_place_is_noticed(world: World, tmp_path: Path) -> None:
    recipient = Recipient.load(tmp_path / "id.pub")
    replaced = MemoryStore()
    create_vault([replaced], [Recipient(recipient.public)], tmp_path / "forger")
    with pytest.raises(IntegrityError, match="pinned"):
        VaultReader.open([replaced], world.identity)
    with pytest.raises(IntegrityError, match="pinned"):
        world.writer([replaced])


def test_a_long_lived_writer_knows_what_another_process_saw(world: World) -> None:
    early = world.writer()
    early.points()
    before = dict(world.memory.objects)
    world.back_up(Tree({b"newer": b"1"}))
    world.memory.objects.clear()
    world.memory.objects.update(before)
    with pytest.raises(IntegrityError, match="shorter"):
        early.points()


def test_a_forged_manifest_needs_more_than_the_store(world: World) -> None:
    """Someone with the store and the index key, but no writer's signing key."""
    name = of_kind(world, "points/")[0]
    data = world.memory.objects.pop(name)
    forged = data[: frames.HEADER_SIZE + 16] + os.urandom(64) + data[frames.SIGNED_SIZE :]
    world.memory.objects[f"{name[:-64]}{hashlib.sha256(forged).hexdigest()}"] = forged
    with pytest.raises(IntegrityError, match="signature"):
        world.reader().points()


def test_a_writers_host_cannot_read_back(world: World, tmp_path: Path) -> None:
    """Nothing that the writer's files hold opens a content key; and no object holds content in the clear."""
    credentials = world.credentials
    keys = [credentials.signing_key, credentials.seed]
    keys += [
        sealing.derive(key, purpose, bytes.fromhex(credentials.vault))
        for key in keys
        for purpose in ("wrap", "records")
    ]
    vault = bytes.fromhex(credentials.vault)
    for name in of_kind(world, "packs/"):
        data = world.memory.objects[name]
        pack, run, wrapped = data[24:40], data[40:56], data[56 : packs.HEADER_SIZE]
        for key in keys:
            with pytest.raises(IntegrityError):
                packs.RunKey(vault, run, key).unwrap(pack, wrapped, name)
    stored = b"".join(world.memory.objects.values())
    assert FILES[b"a"][:32] not in stored
    assert b"texttext" not in stored
    assert not [
        path for path in tmp_path.iterdir() if path.name not in {"id", "id.pub", "id.state", "writer", "writer.state"}
    ]


def test_wal_the_same_again_is_fine_and_other_bytes_are_not(world: World) -> None:
    writer = world.writer()
    data = world.reader().get_wal(CLUSTER, SEGMENT)
    writer.put_wal(CLUSTER, SEGMENT, data)
    assert len(of_kind(world, f"wal/{CLUSTER}/")) == 1
    with pytest.raises(IntegrityError, match="Other bytes"):
        writer.put_wal(CLUSTER, SEGMENT, data + b"x")
    assert writer.wal_names(CLUSTER) == [SEGMENT]
    assert list(writer.has_wal(CLUSTER, SEGMENT).values()) == [True]
    assert list(writer.has_wal(CLUSTER, "000000010000000000000004").values()) == [False]


def test_wal_that_is_absent_is_absent(world: World) -> None:
    with pytest.raises(NotThere):
        world.reader().get_wal(CLUSTER, "000000010000000000000004")
    with pytest.raises(UsageError):
        world.writer().put_wal(CLUSTER, "../../config/x", b"1")
