"""A prune beside a writer: whatever comes between which of its steps, no committed point loses a byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coffer.errors import CofferError, HeldByAnother, IntegrityError, NotInEveryStore, RefusedByPolicy, Unreachable
from coffer.keys import PrunerCredentials
from coffer.vault import marks, names
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Fact, Kind, Parent, SourceSink
from coffer.vault.points import Point
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import Tree, World

LAST = RetentionPolicy(keep_last=1, require_proof="none")
OLD = {b"a": os.urandom(100_000), b"b": os.urandom(50_000)}


@dataclass
class Interrupted(Tree):
    """A source in the middle of whose capture something happens; `kinds` are what it was asked to do."""

    meanwhile: Callable[[], object] = lambda: None
    kinds: list[tuple[Kind, bool]] = field(default_factory=list)

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        self.kinds.append((kind, parent is not None))
        if parent is None:
            self.same = frozenset()
        self.meanwhile()
        return super().capture(sink, kind, parent)


def prune(world: World, policy: RetentionPolicy = LAST) -> None:
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    execute(plan_prune(world.stores, pruner, policy, world.now()), world.stores)


def mark(world: World, wanted: set[str]) -> None:
    named = marks.seal(bytes.fromhex(world.credentials.vault), wanted, world.now())
    for store in world.stores:
        store.put(*named)


def check(world: World, points: int) -> None:
    reader = world.reader()
    assert len(reader.points()) == points
    assert reader.verify().ok
    assert verify_at_rest(world.stores).ok


def needs(world: World, point: Point) -> set[str]:
    from coffer.vault import points

    access = world.reader().access()
    [listing] = [name for name in world.memory.objects if name.startswith(f"lists/{point.service}/{point.name}/")]
    return {name for name, _ in points.open_list(access.configuration, listing, world.memory.objects[listing]).objects}


def test_a_backup_that_runs_longer_than_the_wait_loses_nothing(tmp_path: Path) -> None:
    """A differential builds upon an old full while a prune marks, waits and sweeps that full from under it."""
    world = World(tmp_path)
    full = world.back_up(Tree(OLD), kind=Kind.FULL)
    newer = {b"c": os.urandom(100_000)}
    world.back_up(Tree(newer), kind=Kind.INCREMENTAL)

    def mark_wait_and_sweep() -> None:
        prune(world)
        world.pass_time(hours=25)
        prune(world)
        assert len(world.reader().points()) == 1
        assert not [name for name in needs_of_full if name.startswith("packs/") and name in world.memory.objects]

    needs_of_full = needs(world, full)
    source = Interrupted(OLD, same=frozenset(OLD), meanwhile=mark_wait_and_sweep)
    with pytest.raises(IntegrityError, match="missing"):
        world.back_up(source, kind=Kind.DIFFERENTIAL)
    assert source.kinds == [(Kind.DIFFERENTIAL, True)]
    check(world, 1)
    assert world.restore("out") == newer
    world.back_up(Tree(OLD), kind=Kind.DIFFERENTIAL)
    check(world, 2)
    assert world.restore("again") == OLD


def test_a_backup_that_shares_nothing_and_takes_too_long_is_refused_too(tmp_path: Path) -> None:
    """Its own packs are older than the grace by then: a prune takes them for what a killed run left."""
    world = World(tmp_path)
    world.back_up(Tree({b"x": b"1"}))
    source = Interrupted(OLD, meanwhile=lambda: world.pass_time(hours=13))
    with pytest.raises(RefusedByPolicy, match=r"too long.*half the grace period"):
        world.back_up(source)
    check(world, 1)
    world.back_up(Tree(OLD))
    check(world, 2)


def test_the_root_gives_long_backups_more_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(grace_hours=48))
    world.back_up(Interrupted(OLD, meanwhile=lambda: world.pass_time(hours=13)))
    check(world, 1)
    with pytest.raises(RefusedByPolicy):
        world.back_up(Interrupted(OLD, meanwhile=lambda: world.pass_time(hours=25)))


def test_what_is_marked_while_it_is_shared_is_not_committed_and_the_next_run_stores_it_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    full = world.back_up(Tree(OLD), kind=Kind.FULL)
    world.back_up(Tree({b"c": os.urandom(1000)}))
    source = Interrupted(OLD, same=frozenset(OLD), meanwhile=lambda: prune(world))
    with pytest.raises(HeldByAnother, match=r"marked what this point would share.*Run it again"):
        world.back_up(source, kind=Kind.DIFFERENTIAL)
    check(world, 2)
    again = Interrupted(OLD, same=frozenset(OLD))
    point = world.back_up(again, kind=Kind.DIFFERENTIAL)
    assert again.kinds == [(Kind.FULL, False)]
    assert (point.kind, point.parent) == (Kind.FULL, None)
    assert not {name for name in needs(world, point) & needs(world, full) if name.startswith(("packs/", "trees/"))}
    world.pass_time(hours=25)
    prune(world)
    check(world, 2)
    assert world.restore() == OLD


def test_a_run_beside_a_prune_that_marks_something_else_is_not_disturbed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"c": os.urandom(1000)}), kind=Kind.FULL)
    world.back_up(Tree(OLD), kind=Kind.FULL)
    world.back_up(Interrupted(OLD, same=frozenset(OLD), meanwhile=lambda: prune(world)))
    world.pass_time(hours=25)
    prune(world)
    check(world, 2)
    assert world.restore() == OLD


def test_an_equal_subtree_that_is_marked_is_stored_as_another_object(tmp_path: Path) -> None:
    """Subtrees are named by their content: stored under the same name it would be swept with the mark."""
    world = World(tmp_path)
    first = world.back_up(Tree({}, folders=[b"empty"]), kind=Kind.FULL)
    trees = {name for name in needs(world, first) if name.startswith("trees/")}
    mark(world, trees)
    second = world.back_up(Tree({}, folders=[b"empty"]), kind=Kind.FULL)
    assert not needs(world, second) & trees
    for name in trees:
        world.memory.delete(name)
    assert world.reader().verify([world.reader().point("latest")]).ok


@pytest.mark.parametrize("prefix", ["packs/", "trees/", "index/", "keys/run-"])
def test_whatever_kind_of_object_is_marked_before_a_run_is_not_named_by_it(tmp_path: Path, prefix: str) -> None:
    world = World(tmp_path)
    first = world.back_up(Tree(OLD), kind=Kind.FULL)
    marked = {name for name in needs(world, first) if name.startswith(prefix)}
    assert marked
    mark(world, marked)
    new = {**OLD, b"c": b"new"}
    for kind in (Kind.INCREMENTAL, Kind.FULL):
        point = world.back_up(Interrupted(new, same=frozenset(OLD)), kind=kind)
        assert not needs(world, point) & marked
    for name in marked:
        world.memory.delete(name)
    reader = world.reader()
    assert reader.verify(reader.points()[1:]).ok


def test_a_mark_in_one_store_only_is_seen(tmp_path: Path) -> None:
    """A prune is just putting it; or was killed there."""
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    first = world.back_up(Tree(OLD), kind=Kind.FULL)
    mark(world, needs(world, first))
    [name] = [name for name in world.memory.objects if name.startswith("marks/")]
    world.memory.delete(name)
    assert not needs(world, world.back_up(Tree(OLD))) & needs(world, first)


def test_a_mark_that_nobody_can_read_stops_a_backup(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree(OLD), kind=Kind.FULL)
    data = b"rot"
    world.memory.put(names.name_of("marks", names.new_id(), data), data)
    with pytest.raises(IntegrityError):
        world.back_up(Tree(OLD))
    prune(world)
    world.back_up(Tree(OLD))


def test_a_mark_that_goes_while_it_is_read_says_run_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    first = world.back_up(Tree(OLD), kind=Kind.FULL)
    mark(world, needs(world, first))
    get = world.memory.get

    def gone(name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name.startswith("marks/"):
            world.memory.delete(name)
        return get(name, offset, length)

    monkeypatch.setattr(world.memory, "get", gone)
    with pytest.raises(HeldByAnother, match="sweeping"):
        world.back_up(Tree(OLD))
    world.back_up(Tree(OLD))
    check(world, 2)


def test_one_store_away_one_marked_commits_in_the_other_only_if_neither_is(tmp_path: Path) -> None:
    """The mark comes between the manifest of one store and that of the other: it is late for both or seen by one."""
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    full = world.back_up(Tree(OLD), kind=Kind.FULL)
    second = world.stores[1]
    assert isinstance(second, MemoryStore)
    put = MemoryStore.put
    seen: list[str] = []

    def put_and_mark(name: str, data: bytes) -> None:
        put(second, name, data)
        if name.startswith("points/") and not seen:
            seen.append(name)
            mark(world, needs(world, full))

    second.put = put_and_mark  # type: ignore[method-assign, assignment]
    try:
        point = world.back_up(Tree({**OLD, b"c": b"1"}, same=frozenset(OLD)))
    except NotInEveryStore as error:
        point = error.point
    assert second.url in point.stores
    assert world.reader([second]).verify([point]).ok


def test_a_clock_that_is_off_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = dict(world.memory.objects)
    for off in (timedelta(minutes=-6), timedelta(minutes=6)):
        with pytest.raises(RefusedByPolicy, match="the store's: by 0:0"):
            world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC) + off)
    assert world.memory.objects == before


def test_objects_are_locked_for_the_window_before_the_manifest_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_days=30))
    store, put = world.memory, world.memory.put
    unlocked: set[str] = set()

    def put_last(name: str, data: bytes) -> None:
        if name.startswith("points/"):
            unlocked.update(each for each in store.objects if _belongs(each) and not store.locked_until(each))
        put(name, data)

    monkeypatch.setattr(store, "put", put_last)
    point = world.back_up(Tree(OLD), kind=Kind.FULL)
    assert not unlocked
    locks = {name: store.locked_until(name) for name in store.objects if _belongs(name)}
    assert all(until and until >= point.started + timedelta(days=30) for until in locks.values())
    with pytest.raises(RefusedByPolicy):
        store.delete(point.object_name)


def _belongs(name: str) -> bool:
    return name.startswith(("packs/", "trees/", "index/", "lists/", "points/", "keys/run-"))


def test_what_an_old_point_shares_is_locked_anew_by_a_new_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_days=30))
    first = world.back_up(Tree(OLD), kind=Kind.FULL)
    world.pass_time(days=20)
    world.back_up(Tree({**OLD, b"c": b"1"}, same=frozenset(OLD)))
    packs = [name for name in needs(world, first) if name.startswith("packs/")]
    until = world.memory.locked_until(packs[0])
    assert until
    assert until >= world.now() + timedelta(days=30) - timedelta(minutes=1)


def test_prune_makes_locks_longer_for_what_other_rules_keep_and_lets_others_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    policy = RetentionPolicy(keep_days=8, keep_monthly=12, require_proof="none")
    VaultAdministration(world.stores, world.identity).set_retention(policy)
    monthly = world.back_up(Tree({b"m": os.urandom(1000)}), kind=Kind.FULL)
    for _ in range(5):
        world.pass_time(days=7)
        last = world.back_up(Tree({b"d": os.urandom(1000)}), kind=Kind.FULL)
        prune(world, policy)
    until = world.memory.locked_until(monthly.object_name)
    assert until
    assert world.now() < until <= world.now() + timedelta(days=3)
    for name in needs(world, monthly):
        held = world.memory.locked_until(name)
        assert held
        assert held > world.now()
    newest = world.memory.locked_until(last.object_name)
    assert newest
    assert newest >= world.now() + timedelta(days=8)
    assert len(world.reader().points()) < 6


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from(["full", "incremental", "differential"]),
            st.lists(st.sampled_from(["prune", "wait", "wait", "long"]), max_size=4),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_any_prunes_in_the_middle_of_any_backups_lose_nothing(
    runs: list[tuple[str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    committed: dict[str, dict[bytes, bytes]] = {}
    contents = [{b"%d" % number: os.urandom(2000)} for number in range(2)]
    for number, (kind, meanwhile) in enumerate(runs):
        files = {**contents[number % 2], b"own": os.urandom(100)}

        def happen(steps: list[str] = meanwhile) -> None:
            for step in steps:
                if step == "prune":
                    prune(world)
                else:
                    world.pass_time(hours=7 if step == "wait" else 25)

        source = Interrupted(files, meanwhile=happen)
        try:
            committed[world.back_up(source, kind=Kind(kind)).name] = files
        except (HeldByAnother, RefusedByPolicy, IntegrityError):
            prune(world)
        reader = world.reader()
        for point in reader.points():
            for path, content in committed[point.name].items():
                assert reader.read_file(point, "files", path) == content
        assert reader.verify().ok
    for _ in range(3):
        prune(world)
        world.pass_time(hours=49)
    assert len(world.reader().points()) == min(1, len(committed))


def test_a_guard_needs_one_store_at_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    writer = world.writer()
    builder = writer.begin_point(service="app", kind=Kind.FULL, started=world.now())

    def away(*_: object) -> None:
        raise Unreachable("away")

    monkeypatch.setattr(world.memory, "list", away)
    with pytest.raises(CofferError), builder:
        pass
