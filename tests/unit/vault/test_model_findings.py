"""What the model of tests/soak found, each made small: programs that met in a moment when nobody had looked."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotInEveryStore, Unreachable
from coffer.keys import Identity, PrunerCredentials, Recipient, WriterCredentials
from coffer.vault import frames
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.reader import VaultReader
from coffer.vault.replication import replicate
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(3000)}
LAST = RetentionPolicy(keep_last=1, require_proof="none")


def prune(world: World) -> None:
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    execute(plan_prune(world.stores, pruner, LAST, world.now()), world.stores)


def prune_all(world: World) -> None:
    prune(world)
    world.pass_time(hours=25)
    prune(world)


def second_writer(world: World) -> WriterCredentials:
    return VaultAdministration(world.stores, world.identity).add_writer("second", world.folder / "second")


def test_a_history_whose_newest_known_point_was_pruned_since_is_not_cut_short(tmp_path: Path) -> None:
    world = World(tmp_path)
    credentials = second_writer(world)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    assert len(VaultWriter.open(world.stores, credentials).points()) == 1
    world.back_up(Tree(FILES), kind=Kind.FULL)
    prune_all(world)
    assert [point.counter for point in VaultWriter.open(world.stores, credentials).points()] == [2]


def test_a_point_that_stores_nothing_new_names_its_runs_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    world.back_up(Tree(FILES, same=frozenset(FILES)))
    world.back_up(Tree({}), service="empty")
    world.pass_time(hours=49)
    prune_all(world)
    assert world.restore(point=world.reader().points("app")[-1].name) == FILES
    assert world.restore("none", point=world.reader().points("empty")[-1].name) == {}


def test_a_store_that_is_silent_does_not_make_the_history_shorter(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    world.back_up(Tree(FILES), kind=Kind.FULL)
    world.back_up(Tree(FILES), kind=Kind.FULL, stores=world.stores[:1])
    away = FaultyStore(world.stores[0])
    away.fail(times=10_000)
    assert [point.counter for point in world.writer([away, world.stores[1]]).points()] == [1]
    point = world.writer([away, world.stores[1]]).begin_point(service="app", kind=Kind.FULL, started=world.now())
    with point as builder:
        builder.capture(Tree(FILES))
        with pytest.raises(NotInEveryStore) as caught:
            builder.commit({})
    assert caught.value.point.counter == 3


def test_a_silent_store_may_have_the_newest_configuration(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    old = dict(world.stores[1].objects)  # type: ignore[attr-defined]
    VaultAdministration(world.stores, world.identity).set_retention(LAST)
    world.writer().points()
    world.stores[1].objects.clear()  # type: ignore[attr-defined]
    world.stores[1].objects.update(old)  # type: ignore[attr-defined]
    away = FaultyStore(world.stores[0])
    away.fail(times=10_000)
    with pytest.raises(Unreachable):
        world.writer([away, world.stores[1]])
    with pytest.raises(IntegrityError, match="rolled back"):
        world.writer(world.stores[1:])


def test_a_point_may_be_pruned_while_the_points_are_listed(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(2):
        world.back_up(Tree(FILES), kind=Kind.FULL)
    faulty = FaultyStore(world.stores[0])
    faulty.act(lambda: prune_all(world), verbs=["list"], prefix="points/", after=True)
    assert [point.counter for point in world.writer([faulty]).points()] == [2]


@pytest.mark.parametrize("verb", ["put", "list"])
def test_recipients_may_change_while_a_point_is_taken(tmp_path: Path, verb: str) -> None:
    world, friend = World(tmp_path), Identity.generate()

    def add() -> None:
        recipient = Recipient(friend.recipient.public, "friend")
        VaultAdministration(world.stores, world.identity).add_recipient(recipient)

    faulty = FaultyStore(world.stores[0])
    faulty.act(add, verbs=[verb], prefix="keys/run-")
    world.back_up(Tree(FILES), kind=Kind.FULL, stores=[faulty])
    for who in (friend, world.identity):
        reader = VaultReader.open(world.stores, who, root=world.credentials.root)
        assert reader.read_file(reader.point("latest"), "files", b"a") == FILES[b"a"]


def test_a_key_may_be_wrapped_anew_while_it_is_read(tmp_path: Path) -> None:
    world, friend = World(tmp_path), Identity.generate()

    def add() -> None:
        VaultAdministration(world.stores, world.identity).add_recipient(Recipient(friend.recipient.public, "friend"))

    faulty = FaultyStore(world.stores[0])
    faulty.act(add, verbs=["list"], prefix="keys/index-", after=True)
    assert world.writer([faulty]).points() == []
    assert world.reader().points() == []


def test_a_key_that_is_pruned_while_recipients_change_needs_no_settling(tmp_path: Path) -> None:
    world, friend = World(tmp_path), Identity.generate()
    for _ in range(2):
        world.back_up(Tree(FILES), kind=Kind.FULL)
    prune(world)
    world.pass_time(hours=25)
    faulty = FaultyStore(world.stores[0])
    faulty.act(lambda: prune(world), verbs=["list"], prefix="keys/", after=True)
    VaultAdministration([faulty], world.identity).add_recipient(Recipient(friend.recipient.public, "friend"))
    assert world.restore() == FILES
    assert world.reader().verify().ok


def test_a_copy_of_wal_is_as_old_as_its_first(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    world.writer(world.stores[:1]).put_wal(CLUSTER, SEGMENT, b"log")
    world.pass_time(hours=30)
    replicate(world.stores[0], world.stores[1:])
    world.pass_time(hours=30)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    prune_all(world)
    assert [[*store.list("wal/")] for store in world.stores] == [[], []]
    assert verify_at_rest(world.stores).ok


def test_what_a_silent_store_could_not_show_is_unreadable_and_no_forgery(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    for prefix in ("points/", "index/", "trees/", "packs/"):
        faulty = FaultyStore(world.stores[0])
        reader = world.reader([faulty])
        faulty.fail(times=10_000, verbs=["get"], prefix=prefix)
        report = reader.verify()
        assert {problem.what for problem in report.problems} == {"unreadable"}, prefix
        assert report.points == []
        with pytest.raises(Unreachable):
            report.raise_for_problems()


def test_rot_and_forgeries_beside_a_wal_file_keep_nobody_from_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.writer().put_wal(CLUSTER, SEGMENT, b"log")
    [name] = [name for name in world.memory.objects if name.startswith("wal/")]
    place = name.rpartition("/")[0]
    world.memory.objects[f"{place}/{'0' * 32}-{'0' * 64}"] = b"rot"
    world.memory.objects[f"{place}/junk"] = b"junk"
    assert world.reader().get_wal(CLUSTER, SEGMENT) == b"log"
    assert world.writer().has_wal(CLUSTER, SEGMENT) == {world.memory.url: True}
    world.memory.objects[name] = world.memory.objects[name][:-1]
    with pytest.raises(IntegrityError):
        world.reader().get_wal(CLUSTER, SEGMENT)
    world.writer().put_wal(CLUSTER, SEGMENT, b"log")
    assert world.reader().get_wal(CLUSTER, SEGMENT) == b"log"


def test_a_signer_is_who_signed(tmp_path: Path) -> None:
    world = World(tmp_path)
    [name] = [name for name in world.memory.objects if name.startswith("config/")]
    data = world.memory.objects[name]
    other = data[: frames.HEADER_SIZE] + bytes(16) + data[frames.HEADER_SIZE + 16 :]
    identity = replace(world.identity, path=None)
    del world.memory.objects[name]
    world.memory.objects[f"{name[:-64]}{hashlib.sha256(other).hexdigest()}"] = other
    with pytest.raises(IntegrityError, match="another signer"):
        VaultReader.open(world.stores, identity)
