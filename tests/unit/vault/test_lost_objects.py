"""What is lost from a point is stored anew by the next backup: the source is at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from coffer.vault.capture import Fact, Kind, Parent, SourceSink
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.making import Tree, World

FILES = {b"a": os.urandom(300_000), b"b": os.urandom(200_000), b"small": b"x"}


class Unchanged(Tree):
    """Says of every file that it is as the parent has it, where there is a parent."""

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        same = frozenset(self.files) if parent else frozenset[bytes]()
        return Tree(self.files, same=same).capture(sink, kind, parent)


@pytest.mark.parametrize("kind", [Kind.INCREMENTAL, Kind.DIFFERENTIAL])
@pytest.mark.parametrize("prefix", ["packs/", "trees/", "index/", "keys/run-", "lists/"])
def test_the_next_point_is_whole_although_objects_of_the_one_before_are_gone(
    tmp_path: Path, prefix: str, kind: Kind
) -> None:
    stores = [MemoryStore(), MemoryStore()]
    world = World(tmp_path, stores)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    for store in stores:
        for name in [name for name in store.objects if name.startswith(prefix)]:
            store.delete(name)
    point = world.back_up(Unchanged(FILES), kind=kind)
    assert world.restore() == FILES
    report = world.reader().verify([point])
    assert report.ok, report.problems


def test_what_one_store_lost_is_copied_from_the_other_and_not_stored_twice(tmp_path: Path) -> None:
    stores = [MemoryStore(), MemoryStore()]
    world = World(tmp_path, stores)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    packs = {name for name in stores[0].objects if name.startswith("packs/")}
    for name in packs:
        stores[0].delete(name)
    world.back_up(Unchanged(FILES))
    assert {name for name in stores[0].objects if name.startswith("packs/")} == packs
    assert world.restore(stores=stores[:1]) == FILES
