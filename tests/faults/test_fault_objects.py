"""Every object of a small vault harmed in every way: what rests is named, what is read is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.errors import Forged, IntegrityError, UsageError
from coffer.vault.capture import Kind
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from tests.faults.outcomes import refused, shows
from tests.faults.small import (
    SECOND,
    flipped,
    harmed,
    is_needed,
    kind_of,
    read_everything,
    renamed,
    small_world,
    telling_places,
)
from tests.unit.vault.making import Tree, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One vault for all: each test puts back what it harmed."""
    world = small_world(tmp_path_factory.mktemp("objects"))
    yield world
    read_everything(world)
    assert world.reader().verify().ok
    assert verify_at_rest(world.stores).ok


def named_at_rest(world: World, name: str, what: str) -> bool:
    return any(each.object == name and each.what == what for each in verify_at_rest(world.stores).problems)


@shows("Any byte of any object flipped", IntegrityError, stays="found without a key by its name, and by every reader")
def test_every_byte_flipped(world: World) -> None:
    stores = StoreSet(world.stores)
    for name, data in list(world.memory.objects.items()):
        with harmed(world.memory) as objects:
            for at in range(0, len(data), 1 + len(data) // 4096):
                objects[name] = flipped(data, at)
                with refused(name):
                    stores.read(name)
            assert named_at_rest(world, name, "damaged")
            if is_needed(name):
                with refused(name):
                    read_everything(world)


@shows(
    "Any byte of any object flipped by someone who gives the object its new name too",
    IntegrityError,
    Forged,
    UsageError,
    stays="signature and seal refuse what the name does not; a higher version byte is said to be a newer format",
)
def test_every_byte_flipped_and_the_name_forged(world: World) -> None:
    for name, data in list(world.memory.objects.items()):
        if not is_needed(name):
            continue
        for at in telling_places(data):
            with harmed(world.memory) as objects:
                altered = flipped(objects.pop(name), at)
                objects[renamed(name, altered)] = altered
                with refused(about=(name, at)):
                    read_everything(world)


@shows("Any object cut short", IntegrityError, stays="found without a key, and by every reader")
def test_every_object_truncated(world: World) -> None:
    for name, data in list(world.memory.objects.items()):
        for keep in (0, 7, 8, len(data) // 2, len(data) - 1):
            with harmed(world.memory) as objects:
                objects[name] = data[:keep]
                assert named_at_rest(world, name, "damaged")
                if is_needed(name):
                    with refused(name):
                        read_everything(world)


@shows("Two objects of one kind swapped", IntegrityError, stays="both are named")
def test_every_two_of_a_kind_swapped(world: World) -> None:
    by_kind = itertools.groupby(sorted(world.memory.objects, key=kind_of), kind_of)
    pairs = [pair for _, names in by_kind for pair in itertools.combinations(names, 2)]
    assert {kind_of(one) for one, _ in pairs} >= {"packs", "trees", "index", "lists", "points", "keys/run"}
    for one, other in pairs:
        with harmed(world.memory) as objects:
            objects[one], objects[other] = objects[other], objects[one]
            assert named_at_rest(world, one, "damaged")
            assert named_at_rest(world, other, "damaged")
            if is_needed(one):
                with refused():
                    read_everything(world)


@shows(
    "A genuine object moved to another's place, with a name that is right for its bytes",
    IntegrityError,
    Forged,
    stays="what binds an object to its place refuses it",
)
def test_every_two_of_a_kind_moved(world: World) -> None:
    by_kind = itertools.groupby(sorted(world.memory.objects, key=kind_of), kind_of)
    for kind, names in by_kind:
        for one, other in itertools.combinations(names, 2):
            if not is_needed(one) or kind == "config":
                continue
            with harmed(world.memory) as objects:
                data = objects[one]
                del objects[other]
                objects[renamed(other, data)] = data
                with refused(about=(one, other)):
                    read_everything(world)


@shows("Any object deleted", IntegrityError, stays="it is said to be missing, and what does not need it is given back")
def test_every_object_deleted(world: World) -> None:
    for name in list(world.memory.objects):
        if not is_needed(name) or name.startswith(("wal/", "config/", "points/app/000001")):
            continue
        with harmed(world.memory) as objects:
            del objects[name]
            with refused(about=name):
                read_everything(world)
            if name.startswith(("packs/", "trees/", "index/")):
                assert named_at_rest(world, name, "missing")


@shows("Any object harmed in the first of two stores", stays="everything is given back from the second, and it is said")
def test_a_second_store_helps_with_every_object(tmp_path: Path) -> None:
    world = small_world(tmp_path, [MemoryStore(), MemoryStore()])
    for name, data in list(world.memory.objects.items()):
        for altered in (flipped(data, len(data) - 1), data[: len(data) // 2], None):
            with harmed(world.memory) as objects:
                if altered is None:
                    del objects[name]
                else:
                    objects[name] = altered
                read_everything(world)
                report = verify_at_rest(world.stores)
                assert all(each.store == world.memory.url for each in report.problems)
                assert report.problems


@shows(
    "A whole older state of the store put back (objects replayed from an older vault)",
    IntegrityError,
    stays="writer and reader remember the newest point and configuration that they saw",
)
def test_an_older_state_put_back(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    older = dict(world.memory.objects)
    world.back_up(Tree({b"newer": b"1"}), kind=Kind.FULL)
    world.reader().points()
    with harmed(world.memory) as objects:
        objects.clear()
        objects.update(older)
        with refused("shorter"):
            world.writer().points()
        with refused("shorter"):
            world.reader().points()
        with refused("shorter"):
            world.back_up(Tree(SECOND))
    assert world.restore() == {b"newer": b"1"}


@shows(
    "An object of another vault of the same people in an object's place",
    IntegrityError,
    Forged,
    stays="nothing of it is believed",
)
def test_an_object_of_another_vault(world: World, tmp_path: Path) -> None:
    other = small_world(tmp_path / "other")
    for name in list(world.memory.objects):
        if not is_needed(name):
            continue
        twin = next(each for each in other.memory.objects if kind_of(each) == kind_of(name))
        data = other.memory.objects[twin]
        with harmed(world.memory) as objects:
            del objects[name]
            objects[renamed(name, data)] = data
            with refused(about=(name, twin)):
                read_everything(world)
