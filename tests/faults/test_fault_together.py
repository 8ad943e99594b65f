"""Programs beside each other: two writers at once, a prune beside a writer, a run that outlasts the prune's wait."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from coffer.errors import HeldByAnother, IntegrityError, RefusedByPolicy
from coffer.keys import WriterCredentials
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from coffer.vault.writer import VaultWriter
from tests.faults import programs
from tests.faults.outcomes import refused, saw, shows
from tests.faults.programs import THIRD, Twin, assert_nothing_lost, assert_whole, restored
from tests.faults.small import small_world
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World

_SHARED = {b"shared": hashlib.shake_256(b"shared").digest(100_000)}


def write_points(folder: Path, writer: str, count: int) -> None:
    world = World.__new__(World)
    world.folder = folder
    world.stores = [FileStore(folder / "store")]
    for number in range(count):
        mine = {**_SHARED, f"{writer}-{number}".encode(): os.urandom(2000)}
        opened = VaultWriter.open(world.stores, WriterCredentials.load(folder / writer))
        kind = Kind.FULL if number % 2 else Kind.INCREMENTAL
        with opened.begin_point(service="app", kind=kind, started=datetime.now(UTC)) as builder:
            builder.capture(Tree(mine))
            builder.commit({})


@shows("Two writers at once, in two processes", stays="every point of both is whole; equal counters do no harm")
def test_two_writers_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    VaultAdministration(world.stores, world.identity).add_writer("second", tmp_path / "second")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_points, args=(tmp_path, name, 6)) for name in ("writer", "second")]
    for each in writers:
        each.start()
    for each in writers:
        each.join(120)
    assert [each.exitcode for each in writers] == [0, 0]
    reader = world.reader()
    points = reader.points()
    assert len(points) == 12
    for number, point in enumerate(points):
        assert world.restore(f"out{number}", point=point.name)[b"shared"] == _SHARED[b"shared"]
    assert_whole(world)


ONE, OTHER = ({name: os.urandom(3000)} for name in (b"one", b"other"))
BOTH = {**ONE, b"new": b"new"}


def differential(world: World, stores: Sequence[Store]) -> Point:
    """Compare with the first point, of which the newest shares nothing: a prune wants what this one would share."""
    return world.back_up(Tree(BOTH), kind=Kind.DIFFERENTIAL, stores=stores)


def in_the_middle(folder: Path, marked_before: bool) -> None:
    """At every call of a backup, in turn: a prune that marks, the wait, and the prune that sweeps."""
    (folder / "original").mkdir()
    original = World(folder / "original", [MemoryStore()])
    original.back_up(Tree(ONE), kind=Kind.FULL)
    original.back_up(Tree(OTHER))
    if marked_before:
        programs.prune(original, original.stores)
    committed = 0
    for at in itertools.count(1):
        twin = Twin(original, folder / f"{at}")

        def prune_all(twin: World = twin) -> None:
            programs.prune(twin, twin.stores)
            twin.pass_time(hours=programs.WAIT_HOURS)
            programs.prune(twin, twin.stores)

        faulty = FaultyStore(twin.stores[0])
        faulty.act(prune_all, at=at)
        try:
            differential(twin, [faulty])
            committed += 1
        except (HeldByAnother, RefusedByPolicy, IntegrityError) as error:
            saw(error)
        if len(faulty.calls) < at:
            break
        if faulty.calls[at - 1].name.startswith("points/") and faulty.calls[at - 1].verb == "put":
            # The host slept a day between its last look and the manifest: it is told, and what is broken is found.
            assert twin.reader().verify().ok is marked_before
            continue
        newest = twin.reader().points("app")[-1]
        assert restored(twin, "last") == (BOTH if newest.counter > 2 else OTHER)
        assert_whole(twin)
        differential(twin, twin.stores)
        assert restored(twin, "next") == BOTH
        twin.pass_time(hours=programs.WAIT_HOURS)
        prune_all()
        assert restored(twin, "pruned") == BOTH
        assert programs.left_over(twin.stores[0]) == set()
    assert committed


@shows(
    "A prune that marks, waits and sweeps in the middle of a backup, at any of its store calls",
    HeldByAnother,
    IntegrityError,
    RefusedByPolicy,
    stays="the backup commits a whole point or fails; nothing that was committed before is lost",
)
def test_a_prune_beside_a_writer(tmp_path: Path) -> None:
    in_the_middle(tmp_path, marked_before=False)


@shows(
    "A prune that sweeps what was marked before a backup began, at any of its store calls",
    HeldByAnother,
    RefusedByPolicy,
    stays="what was marked is stored anew; nothing lost",
)
def test_a_sweep_beside_a_writer(tmp_path: Path) -> None:
    in_the_middle(tmp_path, marked_before=True)


@shows(
    "A backup that runs longer than half of prune's wait", RefusedByPolicy, stays="no point comes of it; nothing lost"
)
def test_a_backup_that_runs_too_long(tmp_path: Path) -> None:
    twin = Twin(small_world(tmp_path / "original"), tmp_path / "twin")
    assert isinstance(twin.stores[0], MemoryStore)
    faulty = FaultyStore(twin.stores[0])
    faulty.act(lambda: twin.pass_time(hours=13), verbs=["put"], prefix="packs/")
    with refused("too long"):
        programs.back_up(twin, [faulty])
    assert len(twin.reader().points()) == 2
    assert_nothing_lost(twin)
    assert restored(twin, "out") == THIRD
