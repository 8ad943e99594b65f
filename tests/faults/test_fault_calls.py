"""Every store call of every program failing once, answering late, answering half: one clear error, nothing lost."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotInEveryStore, StoreFull, Unreachable, UsageError
from coffer.vault import store_set
from coffer.vault.fan_out import FanOut
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from tests.faults import programs
from tests.faults.outcomes import refused, saw, shows
from tests.faults.programs import THIRD, Program, Twin, assert_nothing_lost, assert_whole, restored
from tests.faults.small import SECOND, read_everything, small_world
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import World

Arm = Callable[[FaultyStore, int], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> World:
    return small_world(tmp_path_factory.mktemp("calls") / "original")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> World:
    return small_world(tmp_path_factory.mktemp("calls") / "pair", [MemoryStore(), MemoryStore()])


def read(world: World, stores: Sequence[Store]) -> object:
    before, world.stores = world.stores, list(stores)
    try:
        return read_everything(world)
    finally:
        world.stores = before


def verify(world: World, stores: Sequence[Store]) -> object:
    report = world.reader(stores).verify()
    report.raise_for_problems()
    return report


CHANGING = (programs.back_up, programs.put_wal, programs.prune, programs.add_recipient)
PROGRAMS: tuple[Program, ...] = (*CHANGING, read, verify)


def at_every_call(
    program: Program, original: World, folder: Path, arm: Arm
) -> Iterator[tuple[World, CofferError | None]]:
    """Run a program with a fault at its first call, in a fresh copy with one at its second, and so on to its last."""
    for at in itertools.count(1):
        twin = Twin(original, folder / f"{program.__name__}-{at}")
        faulty = FaultyStore(twin.stores[0])
        arm(faulty, at)
        error: CofferError | None = None
        try:
            program(twin, [faulty, *twin.stores[1:]])
        except CofferError as caught:
            error = caught
        if len(faulty.calls) < at:
            assert at > 3
            return
        yield twin, error


def go_on(program: Program, world: World, original: World) -> None:
    """What was committed is there; the same program succeeds now, and all verifies; if anything was changed."""
    if world.memory.objects == original.memory.objects:
        return
    committed = world.reader().points("app")[-1].counter
    assert restored(world, "after") == (THIRD if committed > 2 else SECOND)
    with contextlib.suppress(UsageError):  # the change had been made before the answer was lost
        program(world, world.stores)
    assert_whole(world)


def check_at_every_call(
    original: World, folder: Path, arm: Arm, error: type[CofferError], which: Sequence[Program]
) -> None:
    for program in which:
        failures = 0
        for world, failure in at_every_call(program, original, folder, arm):
            if failure is not None:
                assert type(failure) is error, f"{program.__name__}: {failure}"
                saw(failure)
                failures += 1
            go_on(program, world, original)
        assert failures > 3


@shows("A store call answers 503 or nothing, once", Unreachable, stays="nothing lost; the same command again succeeds")
def test_every_call_unanswered(original: World, tmp_path: Path) -> None:
    check_at_every_call(original, tmp_path, lambda store, at: store.fail(at=at), Unreachable, PROGRAMS)


@shows("A store does what it is asked and its answer is lost", Unreachable, stays="nothing lost; nothing is done twice")
def test_every_answer_lost(original: World, tmp_path: Path) -> None:
    check_at_every_call(original, tmp_path, lambda store, at: store.fail(at=at, after=True), Unreachable, CHANGING)


@shows("A store call answers 403, once", NotAllowed, stays="never taken for absence; nothing lost")
def test_every_call_forbidden(original: World, tmp_path: Path) -> None:
    def arm(store: FaultyStore, at: int) -> None:
        store.fail(lambda: NotAllowed("403"), at=at)

    check_at_every_call(original, tmp_path, arm, NotAllowed, (programs.back_up, programs.put_wal, read))


@shows(
    "A store call says that the store is full, once", StoreFull, stays="nothing lost; the same command again succeeds"
)
def test_every_put_meets_a_full_store(original: World, tmp_path: Path) -> None:
    def arm(store: FaultyStore, at: int) -> None:
        store.fail(lambda: StoreFull("full"), at=at, verbs=["put"])

    for world, failure in at_every_call(programs.back_up, original, tmp_path, arm):
        if failure is not None:
            assert type(failure) is StoreFull
            saw(failure)
        go_on(programs.back_up, world, original)


@shows("A stream is cut half way", IntegrityError, stays="half an object is never taken for a whole one")
def test_every_stream_cut(original: World, tmp_path: Path) -> None:
    check_at_every_call(original, tmp_path, lambda store, at: store.cut(at=at), IntegrityError, (read, verify))


@shows(
    "Any store call of a backup fails in one of two stores",
    NotInEveryStore,
    stays="the point is whole in the other one",
)
def test_every_call_failing_in_one_of_two(pair: World, tmp_path: Path) -> None:
    failures = 0
    for world, failure in at_every_call(programs.back_up, pair, tmp_path, lambda store, at: store.fail(at=at)):
        if failure is not None:
            assert type(failure) is NotInEveryStore, failure
            saw(failure)
            failures += 1
            assert failure.point.stores == (world.stores[1].url,)
        assert world.restore(stores=world.stores[1:]) == THIRD
        if failures % 5 == 1:
            assert_nothing_lost(world)
    assert failures > 3


@shows(
    "A store hangs while another one has what is asked for", stays="the other is asked after a deadline, and it is said"
)
def test_a_store_that_hangs_while_it_is_read(pair: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_set, "_PATIENCE", 0.1)
    world = Twin(pair, tmp_path / "twin")
    faulty = FaultyStore(world.stores[0])
    faulty.hang(at=3, verbs=["get"])
    try:
        reader = world.reader([faulty, world.stores[1]])
        reader.restore(reader.point("latest"), "files", tmp_path / "out")
        assert any("did not answer" in note for note in reader.notes)
    finally:
        faulty.release()


@shows("A store hangs while a point is put into it", NotInEveryStore, stays="the point is whole in the other store")
def test_a_store_that_hangs_while_it_is_written(pair: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FanOut.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(FanOut.__init__.__kwdefaults__, "patience", 0.5)
    world = Twin(pair, tmp_path / "twin")
    faulty = FaultyStore(world.stores[1])
    faulty.hang(verbs=["put"])
    try:
        with refused(faulty.url):
            programs.back_up(world, [world.stores[0], faulty])
        assert restored(world, "out") == THIRD
    finally:
        faulty.release()
    assert_nothing_lost(world)
