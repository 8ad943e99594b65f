"""A writer killed (SIGKILL) before and after every store call: the point before restores, the next backup works."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.keys import WriterCredentials
from coffer.vault.capture import Kind
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.protocol import Buffer, ObjectInfo
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import Tree, World

BEFORE = {b"a": b"before" * 10_000, b"b": b"stays"}
AFTER = {b"a": os.urandom(100_000), b"b": b"stays", b"c": b"new"}


class Deadly(FileStore):
    """Counts calls; at one of them this process ends as if the power failed."""

    def __init__(self, root: Path, at: int, *, after: bool) -> None:
        super().__init__(root)
        self.calls = 0
        self._at = at
        self._after = after

    def _count(self) -> bool:
        self.calls += 1
        if self.calls == self._at and not self._after:
            _die()
        return self.calls == self._at

    def put(self, name: str, data: Buffer) -> None:
        fatal = self._count()
        super().put(name, data)
        if fatal:
            _die()

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        fatal = self._count()
        data = super().get(name, offset, length)
        if fatal:
            _die()
        return data

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        fatal = self._count()
        found = [*super().list(prefix)]
        if fatal:
            _die()
        return iter(found)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def take(store: FileStore, folder: Path) -> None:
    writer = VaultWriter.open([store], WriterCredentials.load(folder / "writer"))
    with writer.begin_point(service="app", kind=Kind.INCREMENTAL, started=datetime.now(UTC)) as builder:
        builder.capture(Tree(AFTER, same=frozenset([b"b"])))
        builder.commit({})


def take_and_die(store: FileStore, folder: Path) -> bool:
    """Take a point in a child process; return whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            take(store, folder)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def calls_of_a_run(folder: Path) -> int:
    world = World(folder, [FileStore(folder / "store")])
    world.back_up(Tree(BEFORE), kind=Kind.FULL)
    counting = Deadly(folder / "store", -1, after=False)
    take(counting, folder)
    return counting.calls


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_store_call(tmp_path: Path, after: bool) -> None:
    (tmp_path / "count").mkdir()
    calls = calls_of_a_run(tmp_path / "count")
    assert calls > 10
    for number in range(1, calls + 1):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        world = World(folder, [FileStore(folder / "store")])
        first = world.back_up(Tree(BEFORE), kind=Kind.FULL)
        assert take_and_die(Deadly(folder / "store", number, after=after), folder), number
        points = world.writer().points()
        assert points[0].name == first.name
        assert world.restore("first", point=first.name) == BEFORE
        if len(points) > 1:
            assert number == calls, "a point exists although something was still to be done"
            assert world.restore("second") == AFTER
        world.back_up(Tree(AFTER, same=frozenset([b"b"])))
        assert world.restore("next") == AFTER
        assert verify_at_rest(world.stores).ok
        assert world.reader().verify().ok
