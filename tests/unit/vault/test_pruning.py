from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import IntegrityError, RefusedByPolicy, UsageError
from coffer.keys import PrunerCredentials
from coffer.vault.capture import Kind
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention import Candidate, RetentionPolicy, decide
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
LAST = RetentionPolicy(keep_last=1, grace_hours=0)


def pruner(world: World) -> PrunerCredentials:
    return PrunerCredentials(world.credentials.vault, world.credentials.root)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def test_what_a_kept_point_needs_stays_and_the_rest_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    kept, gone = {b"a": os.urandom(200_000)}, {b"b": os.urandom(200_000)}
    world.back_up(Tree({**kept, **gone}), kind=Kind.FULL)
    world.back_up(Tree(kept, same=frozenset(kept)))
    world.back_up(Tree({b"c": b"1"}), service="other")
    plan = plan_prune(world.stores, pruner(world), LAST, later())
    assert [(verdict.keep, verdict.point.service) for verdict in plan.verdicts] == [
        (False, "app"),
        (True, "app"),
        (True, "other"),
    ]
    assert all(verdict.reason for verdict in plan.verdicts)
    execute(plan, world.stores)
    assert world.restore(point=world.reader().points("app")[-1].name) == kept
    assert world.reader().verify().ok
    assert verify_at_rest(world.stores).ok
    assert plan_prune(world.stores, pruner(world), LAST, later()).count == 0


def test_a_plan_touches_nothing_and_grace_protects_the_young(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": os.urandom(1000)}), kind=Kind.FULL)
    world.back_up(Tree({b"a": os.urandom(1000)}), kind=Kind.FULL)
    before = dict(world.memory.objects)
    plan = plan_prune(world.stores, pruner(world), RetentionPolicy(keep_last=1, grace_hours=1), later())
    assert world.memory.objects == before
    assert plan.young
    assert sum(len(names) for names in plan.objects.values()) == 0


def test_what_a_killed_run_left_goes_after_the_grace(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    before = set(world.memory.objects)

    def take() -> None:
        with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
            builder.capture(Tree({b"b": os.urandom(40 << 20)}, block=1 << 20))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        take()
    assert any(name.startswith("packs/") for name in set(world.memory.objects) - before)
    execute(plan_prune(world.stores, pruner(world), LAST, later()), world.stores)
    assert set(world.memory.objects) == before


def test_what_a_killed_writer_left_half_written_goes_too(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    left = tmp_path / "store/packs/.new-0123"
    left.write_bytes(b"half")
    execute(plan_prune(world.stores, pruner(world), RetentionPolicy(grace_hours=1), later()), world.stores)
    assert left.exists()
    execute(plan_prune(world.stores, pruner(world), LAST, later()), world.stores)
    assert not left.exists()
    assert world.restore() == {b"a": b"1"}


def test_nothing_is_removed_when_a_list_is_damaged(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    name = next(name for name in world.memory.objects if name.startswith("lists/"))
    data = world.memory.objects.pop(name)
    with pytest.raises(IntegrityError, match="missing"):
        plan_prune(world.stores, pruner(world), LAST, later())
    world.memory.objects[name] = data[:-1]
    with pytest.raises(IntegrityError):
        plan_prune(world.stores, pruner(world), LAST, later())


def test_a_clock_behind_the_store_removes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(RefusedByPolicy, match="clock"):
        plan_prune(world.stores, pruner(world), LAST, datetime.now(UTC) - timedelta(hours=1))


def test_wal_from_before_the_oldest_kept_point_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    writer = world.writer()
    writer.put_wal(CLUSTER, SEGMENT, b"old")
    writer.put_wal(CLUSTER, "00000002.history", b"1\t0/3000000\tno recovery target specified\n")
    for name in [name for name in world.memory.objects if name.startswith("wal/")]:
        world.memory._times[name] = datetime.now(UTC) - timedelta(days=2)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    writer.put_wal(CLUSTER, "000000010000000000000009", b"new")
    execute(plan_prune(world.stores, pruner(world), LAST, later()), world.stores)
    assert writer.wal_names(CLUSTER) == ["000000010000000000000009", "00000002.history"]


def candidates(moments: list[datetime]) -> list[Candidate]:
    return [Candidate("app", f"p{number:04d}", number, moment) for number, moment in enumerate(sorted(moments))]


def test_grandfather_father_son() -> None:
    daily = candidates([NOW - timedelta(days=age) for age in range(100)])
    policy = RetentionPolicy(keep_last=2, keep_daily=7, keep_weekly=4, keep_monthly=3)
    kept = [verdict.point.started.date().isoformat() for verdict in decide(daily, policy, NOW) if verdict.keep]
    week = [f"2026-03-{day}" for day in range(25, 32)]
    assert kept == ["2026-01-31", "2026-02-28", "2026-03-15", "2026-03-22", *week]


@given(
    st.lists(st.integers(0, 5000), unique=True, max_size=30),
    st.builds(
        RetentionPolicy,
        keep_last=st.integers(1, 5),
        keep_days=st.integers(0, 40),
        keep_daily=st.integers(0, 5),
        keep_weekly=st.integers(0, 5),
        keep_monthly=st.integers(0, 5),
    ),
)
def test_the_newest_stays_each_has_a_reason_and_deciding_again_changes_nothing(
    ages: list[int], policy: RetentionPolicy
) -> None:
    every = candidates([NOW - timedelta(hours=age) for age in ages])
    verdicts = decide(every, policy, NOW)
    assert [verdict.point for verdict in verdicts] == every
    kept = [verdict.point for verdict in verdicts if verdict.keep]
    assert not every or every[-1] in kept
    assert all(verdict.reason for verdict in verdicts)
    assert [verdict.point for verdict in decide(kept, policy, NOW) if verdict.keep] == kept


@pytest.mark.parametrize("text", ["keep-lots = 1", "keep-last = 0", "keep-last = 'x'", "= 1"])
def test_a_policy_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy").write_text(text)
    with pytest.raises(UsageError):
        RetentionPolicy.load(tmp_path / "policy")
