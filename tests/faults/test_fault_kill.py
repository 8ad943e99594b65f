"""Every program killed (SIGKILL) before and after every store call: what was committed stays, the rest can go."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.errors import NotThere, UsageError
from coffer.vault.stores.file import FileStore
from tests.faults import programs
from tests.faults.outcomes import shows
from tests.faults.programs import THIRD, Program, Twin, assert_nothing_lost, assert_whole, contents, restored
from tests.faults.small import SECOND, small_world
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import World

_SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder where making things durable costs nothing: a kill is not a power cut."""
    where = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="coffer-kill-", dir=where) as made:
        yield Path(made)


def run_and_die(program: Program, world: World, dying: int, at: int, *, after: bool) -> bool:
    """Run a program in a child process that dies at a call; tell whether it did."""
    assert not [each for each in threading.enumerate() if each.name.startswith("coffer")], (
        "a fork leaves threads behind"
    )
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faulty = FaultyStore(world.stores[dying])
            faulty.die(at=at, after=after)
            program(world, [faulty if number == dying else store for number, store in enumerate(world.stores)])
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "it failed instead of dying"
    return False


def goes_on(program: Program, world: World) -> None:
    """The newest point is given back, and the program that was killed does now what it should, or has nothing to do."""
    assert restored(world, "last") in (SECOND, THIRD)
    with contextlib.suppress(UsageError, NotThere):  # the recipient is one already, or is none any more
        program(world, world.stores)
    assert_whole(world)


def kill_everywhere(program: Program, original: World, folder: Path, dying: int = 0, *, deep: bool = False) -> int:
    """Kill a program before and after each of its calls, each time in a fresh copy, and look at what is left.

    Where no byte of stores and key files was changed there is nothing new to look at; and what is left after one call
    is what is left before the next, so that a deep look at one of the two is enough.
    """
    before, looked = contents(original.folder), 0
    for after in (False, True):
        for at in itertools.count(1):
            twin = Twin(original, folder / f"{at}-{after}")
            if not run_and_die(program, twin, dying, at, after=after):
                assert at > 5
                break
            if contents(twin.folder) != before:
                looked += 1
                if deep and not after:
                    assert_nothing_lost(twin)
                else:
                    goes_on(program, twin)
            shutil.rmtree(twin.folder)
    return looked


def world_in(folder: Path, stores: int = 1) -> World:
    folder.mkdir()
    return small_world(folder, [FileStore(folder / f"store{number}") for number in range(stores)])


@shows("A backup killed (SIGKILL) before and after every store call", stays="nothing lost")
def test_a_backup_killed_at_every_call(folder: Path) -> None:
    assert kill_everywhere(programs.back_up, world_in(folder / "backup"), folder / "killed", deep=True) > 10


@shows("A prune killed before and after every store call, marking and sweeping", stays="nothing lost")
def test_a_prune_killed_at_every_call(folder: Path) -> None:
    world = world_in(folder / "prune")
    kill_everywhere(programs.prune, world, folder / "marking", deep=True)
    programs.prune(world, world.stores)
    programs.let_hours_pass(world, programs.WAIT_HOURS)
    assert kill_everywhere(programs.prune, world, folder / "sweeping", deep=True) > 5


@shows("A replication killed before and after every store call", stays="nothing lost; the target has whole points only")
def test_a_replication_killed_at_every_call(folder: Path) -> None:
    world = world_in(folder / "replicate", stores=2)
    for path in [path for path in (folder / "replicate/store1").rglob("*") if path.is_file()]:
        path.unlink()
    for dying in range(2):
        assert kill_everywhere(programs.bring_up, world, folder / f"copying-{dying}", dying) > 10


@shows(
    "A change of recipients killed before and after every store call",
    stays="nothing lost; the same change again completes it",
)
def test_a_change_of_recipients_killed_at_every_call(folder: Path) -> None:
    world = world_in(folder / "recipients")
    assert kill_everywhere(programs.add_recipient, world, folder / "adding") > 10
    programs.add_recipient(world, world.stores)
    assert kill_everywhere(programs.remove_recipient, world, folder / "removing") > 10
