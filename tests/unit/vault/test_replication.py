"""Bringing copies of a vault up to date: several targets, several sources, locks, prunes at either end."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotAllowed, NotInEveryStore, StoreFull, Unreachable
from coffer.vault import marks, names
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.replication import replicate
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FIRST = {b"a": os.urandom(100_000)}
SECOND = {**FIRST, b"b": os.urandom(50_000)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.back_up(Tree(FIRST), kind=Kind.FULL)
    world.back_up(Tree(SECOND, same=frozenset(FIRST)))
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal")
    return world


def test_the_source_is_read_once_for_all_targets(world: World) -> None:
    source, copies = FaultyStore(world.memory), [MemoryStore(), MemoryStore()]
    report = replicate(source, copies)
    assert report.ok
    assert len(report.points) == 2
    assert copies[0].objects == copies[1].objects == world.memory.objects
    packs = [call.name for call in source.calls if call.verb == "get" and call.name.startswith("packs/")]
    assert len(packs) == len(set(packs)) > 0


def test_progress_is_in_bytes_and_ends_where_it_said(world: World) -> None:
    told: list[tuple[int, int]] = []
    report = replicate(world.memory, [MemoryStore()], lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (report.bytes, report.bytes)
    assert {total for _, total in told} == {sum(map(len, world.memory.objects.values()))}


def test_a_target_that_fails_is_left_behind_and_goes_on_later(world: World) -> None:
    good, bad = MemoryStore(), FaultyStore(MemoryStore())
    bad.fail(lambda: StoreFull("full"), at=4, times=99, verbs=["put"])
    report = replicate(world.memory, [good, bad])
    assert good.objects == world.memory.objects
    assert list(report.left_behind) == [bad.url]
    assert report.points == []
    with pytest.raises(NotInEveryStore, match="full"):
        report.raise_for_problems()
    before = len([*bad.inner.list()])
    assert before < len(good.objects)
    bad.heal()
    again = replicate(world.memory, [good, bad])
    assert again.ok
    assert again.objects == len(good.objects) - before
    assert world.restore(stores=[bad]) == SECOND


def test_a_target_that_is_away_from_the_start_stops_nobody(world: World) -> None:
    good, away = MemoryStore(), FaultyStore(MemoryStore())
    away.fail(times=99)
    assert list(replicate(world.memory, [away, good]).left_behind) == [away.url]
    assert good.objects == world.memory.objects
    with pytest.raises(Unreachable):
        replicate(world.memory, [away])


def test_wherever_a_copy_ends_it_holds_whole_points_only(world: World) -> None:
    everything = len(world.memory.objects)
    for at in range(1, everything + 1):
        target = FaultyStore(MemoryStore())
        target.fail(lambda: NotAllowed("no"), at=at, times=999, verbs=["put"])
        with pytest.raises(NotAllowed):
            replicate(world.memory, [target], jobs=1)
        target.heal()
        held = [info.name for info in target.list()]
        assert len(held) == at - 1
        if any(name.startswith("points/") for name in held):
            assert verify_at_rest([target]).ok
        replicate(world.memory, [target])
        assert world.restore(f"out{at}", stores=[target]) == SECOND


def test_what_is_bad_in_one_source_comes_from_the_next_and_that_is_said(world: World) -> None:
    good = MemoryStore()
    replicate(world.memory, [good])
    bad = world.memory
    pack = next(name for name in bad.objects if name.startswith("packs/"))
    bad.objects[pack] = bytes(len(bad.objects[pack]))
    copy = MemoryStore()
    report = replicate([bad, good], [copy])
    assert report.ok
    assert copy.objects == good.objects
    assert any(pack in note and bad.url in note for note in report.notes)


def test_other_bytes_under_a_name_in_the_target_are_a_problem_of_that_point(world: World) -> None:
    copy = MemoryStore()
    pack = next(name for name in world.memory.objects if name.startswith("packs/"))
    copy.objects[pack] = b"other"
    report = replicate(world.memory, [copy])
    with pytest.raises(IntegrityError, match=pack):
        report.raise_for_problems()
    assert copy.objects[pack] == b"other"
    assert len(report.points) < 2


def test_proofs_are_copied_and_marks_are_not(world: World) -> None:
    point = world.reader().point("latest")
    proof = names.name_of(f"{names.PROOFS}/app/{point.name}", names.new_id(), b"proof")
    stray = names.name_of(f"{names.PROOFS}/app/000099-gone", names.new_id(), b"proof")
    mark, data = marks.seal(bytes.fromhex(world.credentials.vault), ["packs/none"], world.memory.now())
    world.memory.objects |= {proof: b"proof", stray: b"proof", mark: data}
    copy = MemoryStore()
    assert replicate(world.memory, [copy]).ok
    assert set(world.memory.objects) - set(copy.objects) == {mark, stray}


def test_what_a_prune_of_the_target_has_marked_is_not_counted_on(world: World) -> None:
    copy = MemoryStore()
    replicate(world.memory, [copy])
    for name in [*copy.objects]:
        if name.startswith("points/"):
            copy.delete(name)
    pack = next(name for name in copy.objects if name.startswith("packs/"))
    mark, data = marks.seal(bytes.fromhex(world.credentials.vault), [pack], copy.now())
    copy.put(mark, data)
    report = replicate(world.memory, [copy])
    assert any("marked" in problem for problem in report.problems)
    copy.delete(pack)
    copy.delete(mark)
    assert replicate(world.memory, [copy]).ok
    assert copy.objects == world.memory.objects


def test_a_point_that_is_pruned_while_it_is_copied_is_no_problem(world: World) -> None:
    source = FaultyStore(world.memory)
    oldest = sorted(name for name in world.memory.objects if name.startswith("lists/"))[0]
    place = oldest.rpartition("/")[0].partition("/")[2]

    def prune() -> None:
        for name in [*world.memory.objects]:
            if name.startswith((f"points/{place}", f"lists/{place}")):
                world.memory.delete(name)

    source.act(prune, verbs=["get"], prefix=f"points/{place}")
    copy = MemoryStore()
    report = replicate(source, [copy])
    assert report.ok
    assert any("pruned" in note for note in report.notes)
    assert world.restore(stores=[copy]) == SECOND


def test_what_is_copied_is_locked_until_the_policys_date(world: World) -> None:
    policy = RetentionPolicy(keep_last=1, keep_days=30, require_proof="none")
    VaultAdministration(world.stores, world.identity).set_retention(policy)
    copy = FaultyStore(MemoryStore())
    assert replicate(world.memory, [copy]).ok
    least = copy.now() + timedelta(days=30)
    for info in copy.list():
        until = copy.locked_until(info.name)
        if info.name.startswith(("points/", "lists/", "packs/", "trees/", "index/", "keys/run-")):
            assert until is not None, info.name
            assert least - timedelta(minutes=5) < until < least + timedelta(days=1)
    copy.calls.clear()
    assert replicate(world.memory, [copy]).ok
    assert not [call for call in copy.calls if call.verb == "lock"]


def test_a_manifest_is_put_after_what_it_names_is_locked(world: World) -> None:
    policy = RetentionPolicy(keep_last=1, keep_days=30, require_proof="none")
    VaultAdministration(world.stores, world.identity).set_retention(policy)
    copy = FaultyStore(MemoryStore())
    copy.fail(lambda: NotAllowed("no retention"), at=1, verbs=["lock"])
    with pytest.raises(NotAllowed):
        replicate(world.memory, [copy])
    assert not [*copy.list("points/")]
