"""A real disk that is full: of a store, and of the place to restore to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.errors import NotInEveryStore, StoreFull
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from tests.faults.outcomes import refused, shows
from tests.unit.vault.making import Tree, World

SMALL = {b"small": b"text" * 1000}
LARGE = {b"large": os.urandom(6 << 20)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, gone afterwards whatever happens."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "coffer-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)


@shows("The disk of the only store is full", StoreFull, stays="nothing half written stays; with room it goes on")
def test_a_store_whose_disk_is_full(disk: Path, tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(disk / "vault")])
    world.back_up(Tree(SMALL))
    with refused("vault"):
        world.back_up(Tree(LARGE))
    assert not list(disk.rglob(".new-*"))
    assert world.restore("small") == SMALL
    assert verify_at_rest(world.stores).ok
    grow(disk)
    world.back_up(Tree(LARGE))
    assert world.restore("large") == LARGE
    assert world.reader().verify().ok


@shows(
    "The disk of one of two stores is full",
    NotInEveryStore,
    stays="the point is whole in the other; the next one catches up",
)
def test_one_of_two_disks_is_full(disk: Path, tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(disk / "vault"), FileStore(tmp_path / "other")])
    world.back_up(Tree(SMALL))
    with refused(str(disk)):
        world.back_up(Tree(LARGE))
    assert world.restore("large", stores=world.stores[1:]) == LARGE
    grow(disk)
    world.back_up(Tree({**LARGE, **SMALL}, same=frozenset(LARGE)))
    assert world.restore("both", stores=world.stores[:1]) == {**LARGE, **SMALL}


@shows("The disk to restore to is full", StoreFull, stays="the vault is untouched; a larger disk gets everything")
def test_a_target_whose_disk_is_full(disk: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree(LARGE))
    with refused():
        world.reader().restore(point, "files", disk / "target")
    assert world.restore("large") == LARGE
