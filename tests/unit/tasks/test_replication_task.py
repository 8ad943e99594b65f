"""Bringing regions level: each gets what any other has, and one that is away keeps no other from it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.logging import disable_run_logger

from coffer.errors import CofferError, IntegrityError, NotInEveryStore, Unreachable
from coffer.vault.capture import Kind
from coffer.vault.stores.memory import MemoryStore
from tasks import replication
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World


@pytest.fixture
def regions() -> list[FaultyStore]:
    return [FaultyStore(MemoryStore()) for _ in range(3)]


@pytest.fixture
def world(tmp_path: Path, regions: list[FaultyStore], monkeypatch: pytest.MonkeyPatch) -> World:
    address = SimpleNamespace(open_stores=lambda: regions)
    monkeypatch.setattr(replication, "VaultAddress", SimpleNamespace(of=lambda _: address))
    monkeypatch.setattr(replication, "environments", SimpleNamespace(load=lambda name: name))
    world = World(tmp_path, regions)
    for away in range(3):  # each misses another point
        regions[away].fail(times=999)
        with pytest.raises(NotInEveryStore):
            world.back_up(Tree({b"a": os.urandom(9000)}, name=f"tree{away}"), kind=Kind.FULL, service=f"s{away}")
        regions[away].heal()
    return world


def level() -> CofferError | None:
    try:
        with disable_run_logger():
            replication.level.fn("production")
    except CofferError as error:
        return error
    return None


def contents(store: FaultyStore) -> dict[str, bytes]:
    assert isinstance(store.inner, MemoryStore)
    return store.inner.objects


@pytest.mark.usefixtures("world")
def test_every_region_has_everything_then(regions: list[FaultyStore]) -> None:
    assert level() is None
    assert contents(regions[0]) == contents(regions[1]) == contents(regions[2])
    assert len([name for name in contents(regions[0]) if name.startswith("points/")]) == 3


@pytest.mark.usefixtures("world")
def test_one_that_is_away_is_said_and_the_others_are_level(regions: list[FaultyStore]) -> None:
    regions[0].fail(times=999)
    assert isinstance(level(), Unreachable)
    held = [{name for name in contents(store) if name.startswith("points/")} for store in regions[1:]]
    assert held[0] == held[1]
    assert len(held[0]) == 3
    regions[0].heal()
    assert level() is None
    assert contents(regions[0]) == contents(regions[1])


@pytest.mark.usefixtures("world")
def test_what_is_nowhere_as_it_was_written_is_said(regions: list[FaultyStore]) -> None:
    assert level() is None
    pack = next(name for name in contents(regions[0]) if name.startswith("packs/"))
    del contents(regions[0])[pack]
    for store in regions[1:]:
        contents(store)[pack] = bytes(len(contents(store)[pack]))
    assert isinstance(level(), IntegrityError)
