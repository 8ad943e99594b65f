"""Opening a point of a vault that has many: without reading the manifests of all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotThere
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World

FILES = {b"a": b"1"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, [FaultyStore(MemoryStore())])
    for service in ("app", "other"):
        for _ in range(6):
            world.back_up(Tree(FILES), service=service)
    return world


def manifests_read(world: World) -> int:
    store = world.stores[0]
    assert isinstance(store, FaultyStore)
    calls = [call for call in store.calls if call.verb == "get" and call.name.startswith("points/")]
    store.calls.clear()
    return len(calls)


def test_the_newest_is_found_without_reading_all(world: World) -> None:
    reader = world.reader()
    manifests_read(world)
    assert reader.point("latest", "app").counter == 6
    assert manifests_read(world) == 2  # the newest of each service, which what was seen before is compared with
    assert reader.point("latest").service == "other"
    assert manifests_read(world) == 0


def test_an_old_one_is_found_by_name_without_reading_all(world: World) -> None:
    second = world.reader().points("app")[1]
    reader = world.reader()
    manifests_read(world)
    assert reader.point(second.name).counter == 2
    reader.restore(second, "files", world.folder / "out")
    assert manifests_read(world) == 3
    with pytest.raises(NotThere, match="coffer points"):
        reader.point("000001-20200101T000000Z-00000000")


def test_a_history_that_was_cut_is_noticed_all_the_same(world: World) -> None:
    world.reader().point("latest", "app")
    store = world.stores[0]
    for name in [info.name for info in store.list("points/other/000006")]:
        store.delete(name)
    with pytest.raises(IntegrityError, match=r"shorter.*other: point 6 is gone; the newest is 000005"):
        world.reader().point("latest", "app")


@pytest.mark.parametrize("place", ["points/app/999999-20990101T000000Z-00000000/", "points/app/x/"])
def test_an_older_point_is_not_given_back_in_silence(world: World, place: str) -> None:
    world.stores[0].put(f"{place}{'0' * 32}-{'0' * 64}", b"rubbish")
    with pytest.raises(IntegrityError, match="not what was written"):
        world.reader().point("latest", "app")
    assert world.reader().point("latest", "other").counter == 6


def test_rubbish_of_no_service_is_passed_over(world: World) -> None:
    world.stores[0].put(f"points/{'0' * 32}-{'0' * 64}", b"rubbish")
    reader = world.reader()
    assert reader.point("latest").service == "other"
    assert any("passed over" in note for note in reader.notes)
