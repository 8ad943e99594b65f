"""Where a store keeps locks, what opens a point is held as long as the point: keys, root, configurations, WAL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coffer.errors import RefusedByPolicy
from coffer.vault.administration import VaultAdministration
from coffer.vault.retention_policy import RetentionPolicy
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World


def test_nobody_with_delete_rights_takes_the_keys_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_days=30))
    world.back_up(Tree({b"a": b"1"}))
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal")
    least = world.now() + timedelta(days=30)
    assert {name.split("/")[0] for name in world.memory.objects} >= {"keys", "config", "wal", "points", "packs"}
    for name in list(world.memory.objects):
        until = world.memory.locked_until(name)
        assert until is not None, name
        assert until >= least
        with pytest.raises(RefusedByPolicy):
            world.memory.delete(name)
    world.pass_time(days=33)
    for name in list(world.memory.objects):
        world.memory.delete(name)


def test_without_a_policy_nothing_is_locked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    assert {world.memory.locked_until(name) for name in world.memory.objects} == {None}
