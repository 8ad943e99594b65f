"""Mark, wait, sweep: what goes, what stays, what nobody can hurry. Beside a writer: test_pruning_beside_writer.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotAllowed, RefusedByPolicy, Unreachable
from coffer.keys import PrunerCredentials
from coffer.vault import marks, points
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.prune_plan import PrunePlan, PruneReport
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import ObjectInfo
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

LAST = RetentionPolicy(keep_last=1, require_proof="none")
WAIT = {"hours": 25}


def pruner(world: World) -> PrunerCredentials:
    return PrunerCredentials(world.credentials.vault, world.credentials.root)


def planned(world: World, policy: RetentionPolicy = LAST) -> PrunePlan:
    return plan_prune(world.stores, pruner(world), policy, world.now())


def pruned(world: World, policy: RetentionPolicy = LAST) -> PruneReport:
    return execute(planned(world, policy), world.stores)


def names_in(store: MemoryStore, prefix: str = "") -> set[str]:
    return {name for name in store.objects if name.startswith(prefix)}


def two_points(world: World) -> dict[bytes, bytes]:
    """An older point and a newer one that shares nothing with it; returns what the newer one holds."""
    kept = {b"a": os.urandom(200_000)}
    world.back_up(Tree({b"b": os.urandom(200_000)}), kind=Kind.FULL)
    world.back_up(Tree(kept), kind=Kind.FULL)
    return kept


def test_what_a_kept_point_needs_stays_and_the_rest_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    kept = two_points(world)
    world.back_up(Tree({b"c": b"1"}), service="other")
    verdicts = planned(world).verdicts
    assert [(each.keep, each.point.service) for each in verdicts] == [(False, "app"), (True, "app"), (True, "other")]
    assert pruned(world).marked
    world.pass_time(**WAIT)
    report = pruned(world)
    assert len(report.points) == 1
    assert report.objects > 3
    assert len(world.reader().points()) == 2
    assert world.restore(point=world.reader().points("app")[-1].name) == kept
    assert world.reader().verify().ok
    assert verify_at_rest(world.stores).ok
    assert not planned(world).count
    assert not planned(world).fresh


def test_a_plan_touches_nothing_and_a_first_run_only_marks(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    before = dict(world.memory.objects)
    plan = planned(world)
    assert world.memory.objects == before
    report = execute(plan, world.stores)
    assert (report.objects, report.marked) == (0, len(plan.fresh))
    [mark] = names_in(world.memory) - set(before)
    assert marks.open_mark(plan.vault, mark, world.memory.objects[mark]) == set(plan.fresh)
    assert all(world.memory.objects[name] == data for name, data in before.items())


def test_nothing_hurries_a_mark(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    pruned(world)
    for _ in range(3):
        world.pass_time(hours=7)
        plan = planned(world)
        assert not plan.count
        assert not plan.fresh
        assert plan.waiting
        assert pruned(world).objects == 0
    world.pass_time(hours=4)
    assert pruned(world).objects


def test_a_policy_waits_longer_but_never_less_than_the_vaults(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    pruned(world)
    world.pass_time(hours=2)
    assert not planned(world, RetentionPolicy(require_proof="none", grace_hours=1)).count
    world.pass_time(hours=23)
    assert not planned(world, RetentionPolicy(require_proof="none", grace_hours=48)).count
    assert planned(world).count


def test_what_a_killed_run_left_is_marked_when_it_is_old_and_then_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    before = names_in(world.memory)

    def take() -> None:
        with world.writer().begin_point(service="app", kind=Kind.FULL, started=world.now()) as builder:
            builder.capture(Tree({b"b": os.urandom(40 << 20)}, block=1 << 20))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        take()
    assert any(name.startswith("packs/") for name in names_in(world.memory) - before)
    plan = planned(world)
    assert plan.young
    assert not plan.fresh
    world.pass_time(**WAIT)
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    assert names_in(world.memory) - before == names_in(world.memory, "marks/")
    world.pass_time(**WAIT)
    pruned(world)
    assert names_in(world.memory) == before


def test_what_a_killed_writer_left_half_written_goes_too(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    left = tmp_path / "store/packs/.new-0123"
    left.write_bytes(b"half")
    pruned(world)
    assert left.exists()
    os.utime(left, (0, 0))
    pruned(world)
    assert not left.exists()
    assert world.restore() == {b"a": b"1"}


def test_nothing_is_removed_when_a_list_is_damaged(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    name = next(iter(names_in(world.memory, "lists/")))
    data = world.memory.objects.pop(name)
    with pytest.raises(IntegrityError, match="missing"):
        planned(world)
    world.memory.objects[name] = data[:-1]
    with pytest.raises(IntegrityError):
        planned(world)


@pytest.mark.parametrize(("off", "word"), [(-1, "behind"), (1, "before")])
def test_a_clock_that_is_off_removes_nothing_and_says_by_how_much(tmp_path: Path, off: int, word: str) -> None:
    world = World(tmp_path)
    with pytest.raises(RefusedByPolicy, match=f"{word} the store's: by (1:00:00|0:59:59)"):
        plan_prune(world.stores, pruner(world), LAST, datetime.now(UTC) + timedelta(hours=off))


def test_a_store_that_is_away_stops_a_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])

    def away(*_: object) -> None:
        raise Unreachable("away")

    monkeypatch.setattr(world.stores[1], "list", away)
    with pytest.raises(Unreachable):
        planned(world)


def test_wal_from_before_the_oldest_kept_point_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    writer = world.writer()
    writer.put_wal(CLUSTER, SEGMENT, b"old")
    writer.put_wal(CLUSTER, "00000002.history", b"1\t0/3000000\tno recovery target specified\n")
    world.pass_time(days=2)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    writer.put_wal(CLUSTER, "000000010000000000000009", b"new")
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    assert writer.wal_names(CLUSTER) == ["000000010000000000000009", "00000002.history"]


def test_a_mark_counts_from_when_the_last_store_got_it(tmp_path: Path) -> None:
    """A prune that was killed left its mark in one store only: writers that see the other one must have time to."""
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    first, second = (store for store in world.stores if isinstance(store, MemoryStore))
    two_points(world)
    pruned(world)
    [mark] = names_in(second, "marks/")
    second.delete(mark)
    world.pass_time(**WAIT)
    assert pruned(world).objects == 0
    assert second.objects[mark] == first.objects[mark]
    world.pass_time(hours=20)
    assert not planned(world).count
    world.pass_time(hours=5)
    assert pruned(world).objects


def test_a_point_that_needs_what_was_marked_holds_it(tmp_path: Path) -> None:
    """Its manifest came after the mark: the sweep reads all manifests anew."""
    world = World(tmp_path)
    two_points(world)
    older = next(iter(sorted(names_in(world.memory, "points/"))))
    manifest = world.memory.objects.pop(older)
    world.pass_time(**WAIT)
    assert planned(world).fresh
    pruned(world)
    world.memory.put(older, manifest)
    world.pass_time(**WAIT)
    both = RetentionPolicy(keep_last=2, require_proof="none")
    assert pruned(world, both).objects == 0
    assert world.reader().verify().ok
    assert len(world.reader().points()) == 2


def test_who_forges_a_mark_removes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    vault = bytes.fromhex(world.credentials.vault)
    world.memory.put(*marks.seal(vault, names_in(world.memory), world.now() - timedelta(days=900)))
    world.pass_time(**WAIT)
    pruned(world, RetentionPolicy(keep_last=2, require_proof="none"))
    assert world.reader().verify().ok
    assert len(world.reader().points()) == 2


@pytest.mark.parametrize("data", [b"", b"no mark", b"COFFER\x01\x0a" + b"nor this"])
def test_what_is_no_mark_is_said_and_removed(tmp_path: Path, data: bytes) -> None:
    world = World(tmp_path)
    from coffer.vault import names

    name = names.name_of("marks", names.new_id(), data)
    world.memory.put(name, data)
    assert any(name in note for note in planned(world).notes)
    pruned(world)
    assert name not in world.memory.objects


def test_a_marked_point_whose_list_is_gone_already_goes_too(tmp_path: Path) -> None:
    """A prune was killed after the list and before a copy of the manifest that came back meanwhile."""
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    two_points(world)
    first = world.memory
    [older, _] = sorted(names_in(first, "points/"))
    manifest = first.objects[older]
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    first.put(older, manifest)
    assert pruned(world).points
    assert older not in first.objects


def test_what_a_lock_holds_stays_is_said_and_goes_when_it_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    pruned(world)
    marked = planned(world).waiting
    held = next(name for name in sorted(marked) if name.startswith("packs/"))
    until = world.now() + timedelta(days=3)
    world.memory.lock([held], until)
    world.pass_time(**WAIT)
    report = pruned(world)
    assert report.locked == {(world.memory.url, held): until}
    assert report.objects == len(marked) - 1
    assert held in world.memory.objects
    world.pass_time(days=3)
    pruned(world)
    assert held not in world.memory.objects


def test_a_point_whose_manifest_is_locked_stays_whole(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    [older, _] = sorted(names_in(world.memory, "points/"))
    world.memory.lock([older], world.now() + timedelta(days=3))
    plan = planned(world)
    assert plan.verdicts[0].keep
    assert plan.verdicts[0].reason.startswith("locked until")
    assert not plan.fresh
    world.pass_time(days=4)
    pruned(world)
    world.pass_time(**WAIT)
    assert pruned(world).points


def test_a_lock_that_comes_between_plan_and_act_leaves_the_point_whole(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    two_points(world)
    pruned(world)
    world.pass_time(**WAIT)
    plan = planned(world)
    [older, _] = sorted(names_in(world.memory, "points/"))
    world.stores[1].lock([older], world.now() + timedelta(days=3))
    report = execute(plan, world.stores)
    assert not report.points
    assert (world.stores[1].url, older) in report.locked
    reader = world.reader([world.stores[1]])
    assert reader.verify().ok
    assert len(reader.points()) == 2


def test_who_may_not_delete_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    two_points(world)
    pruned(world)
    world.pass_time(**WAIT)

    def refuse(name: str) -> None:
        raise RefusedByPolicy("An object may not be removed", detail=str(NotAllowed(name)))

    monkeypatch.setattr(world.memory, "delete", refuse)
    with pytest.raises(RefusedByPolicy, match="may not be removed"):
        pruned(world)
    assert len(world.reader().points()) == 2


def test_nothing_goes_while_nothing_was_proven(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    plan = planned(world, RetentionPolicy(keep_last=1))
    assert [each.held for each in plan.verdicts] == [True, False]
    assert "read back" in plan.refusals[0].reason
    assert not plan.fresh


def test_a_plan_may_be_done_twice_and_what_was_cut_short_is_done_by_the_next(tmp_path: Path) -> None:
    world = World(tmp_path)
    kept = two_points(world)
    pruned(world)
    world.pass_time(**WAIT)
    plan = planned(world)
    for name in [info.name for info in plan.sweep[world.memory.url]][:3]:
        world.memory.delete(name)
    execute(plan, world.stores)
    execute(plan, world.stores)
    pruned(world)
    assert world.restore() == kept
    assert verify_at_rest(world.stores).ok


class Hiding(MemoryStore):
    """A store with versions, in which someone put delete markers."""

    def __init__(self) -> None:
        super().__init__()
        self.markers: set[str] = set()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.name not in self.markers)

    def hidden(self, prefix: str = "") -> Iterator[str]:
        return (name for name in sorted(self.markers) if name.startswith(prefix))


@pytest.mark.parametrize("prefix", ["points/", "lists/"])
def test_a_hidden_point_stops_a_prune_that_would_take_what_it_needs(tmp_path: Path, prefix: str) -> None:
    store = Hiding()
    world = World(tmp_path, [store])
    two_points(world)
    [older, _] = sorted(names_in(store, prefix))
    store.markers = {older}
    with pytest.raises(IntegrityError):
        planned(world)
    [problem, *_] = verify_at_rest([store]).problems
    assert (problem.object, problem.what) == (older, "hidden")


def test_a_hidden_configuration_stops_a_prune(tmp_path: Path) -> None:
    """An older one may keep less, or not know a writer whose points would then seem to be nobody's."""
    store = Hiding()
    world = World(tmp_path, [store])
    two_points(world)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_days=30))
    store.markers = {max(names_in(store, "config/"))}
    with pytest.raises(IntegrityError, match="configuration is hidden"):
        planned(world)


def test_a_configuration_that_was_set_back_stops_a_prune_that_saw_a_newer_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    two_points(world)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_days=30))
    pruner(world).save(tmp_path / "pruner")
    plan_prune(world.stores, PrunerCredentials.load(tmp_path / "pruner"), LAST, world.now())
    del world.memory.objects[max(names_in(world.memory, "config/"))]
    with pytest.raises(IntegrityError, match="rolled back"):
        plan_prune(world.stores, PrunerCredentials.load(tmp_path / "pruner"), LAST, world.now())


def test_two_lists_in_one_place_both_hold_what_they_name(tmp_path: Path) -> None:
    """A run that was killed after its list was asked for again: which list its manifest means, is sealed."""
    world = World(tmp_path)
    two_points(world)
    access = world.reader().access()
    [name, _] = sorted(names_in(world.memory, "lists/"))
    newest = max(names_in(world.memory, "points/"))
    needs = points.open_list(access.configuration, name, world.memory.objects[name]).objects
    mine = world.reader().points()[-1]
    record = points.ObjectList(
        vault=access.configuration.vault,
        service="app",
        id=bytes.fromhex(newest.rpartition("/")[2][:32]),
        name=mine.name,
        counter=mine.counter,
        kind="full",
        started_ns=points.to_ns(mine.started),
        objects=needs,
    )
    world.memory.put(*points.seal_list(world.credentials.signing_key, record))
    plan = planned(world)
    assert not [each for each in plan.fresh if each.startswith("packs/")]


def test_a_hidden_object_that_a_point_needs_is_named(tmp_path: Path) -> None:
    store = Hiding()
    world = World(tmp_path, [store])
    two_points(world)
    store.markers = {next(iter(names_in(store, "packs/")))}
    report = verify_at_rest([store])
    assert [(each.object, each.what) for each in report.problems] == [(*store.markers, "hidden")]
    assert len(report.points) == 1
