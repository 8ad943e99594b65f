"""Every store call of a backup and of a restore failing once, one after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotInEveryStore, StoreFull, Unreachable
from coffer.vault.capture import Kind
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Buffer, ObjectInfo
from tests.unit.vault.making import Tree, World

FILES = {b"a": os.urandom(200_000), b"b": b"x"}
FAULTS: list[Callable[[], CofferError]] = [
    lambda: Unreachable("503"),
    lambda: NotAllowed("403"),
    lambda: StoreFull("full"),
]


class Faulty(MemoryStore):
    """A memory store whose call number N fails, or gives half of what it should."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.at = -1
        self.fault: Callable[[], CofferError] | None = None

    def arm(self, at: int, fault: Callable[[], CofferError] | None) -> None:
        self.calls, self.at, self.fault = 0, at, fault

    def _count(self) -> bool:
        self.calls += 1
        if self.calls == self.at and self.fault is not None:
            raise self.fault()
        return self.calls == self.at

    def put(self, name: str, data: Buffer) -> None:
        self._count()
        super().put(name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        cut = self._count()
        data = super().get(name, offset, length)
        return data[: len(data) // 2] if cut else data

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._count()
        yield from super().list(prefix)


def failure_of(world: World, files: dict[bytes, bytes]) -> CofferError | None:
    try:
        world.back_up(Tree(files))
    except CofferError as error:
        return error
    return None


@pytest.fixture
def store() -> Faulty:
    return Faulty()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backup_whose_only_store_fails_once(tmp_path: Path, store: Faulty, fault: Callable[[], CofferError]) -> None:
    world = World(tmp_path, [store])
    world.back_up(Tree(FILES), kind=Kind.FULL)
    at = 0
    while True:
        at += 1
        store.arm(at, fault)
        files = {**FILES, b"n": b"%d" % at}
        error = failure_of(world, files)
        store.arm(-1, None)
        if error is None:
            break
        assert type(error) is type(fault())
        assert world.restore(f"out{at}") == FILES
    assert at > 10
    assert world.restore() == files


@pytest.mark.parametrize("fault", FAULTS)
def test_a_second_store_keeps_the_point_when_one_fails(
    tmp_path: Path, store: Faulty, fault: Callable[[], CofferError]
) -> None:
    world = World(tmp_path, [MemoryStore(), store])
    world.back_up(Tree(FILES), kind=Kind.FULL)
    for at in range(1, 26):
        store.arm(at, fault)
        files = {**FILES, b"n": b"%d" % at}
        error = failure_of(world, files)
        store.arm(-1, None)
        if error is not None:
            assert type(error) is NotInEveryStore
            assert error.point.stores == (world.stores[0].url,)
        assert world.restore(f"out{at}", stores=world.stores[:1]) == files
    world.back_up(Tree(FILES))
    assert world.restore("healed", stores=[store]) == FILES


def test_two_writers_at_once_both_have_their_points(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    start = threading.Barrier(2)

    def take(number: int) -> str:
        request = {"service": "app", "kind": Kind.INCREMENTAL, "started": datetime.now(UTC)}
        with world.writer().begin_point(**request) as builder:  # type: ignore[arg-type]
            start.wait(30)
            builder.capture(Tree({**FILES, b"mine": b"%d" % number}, same=frozenset(FILES)))
            return builder.commit({}).name

    with ThreadPoolExecutor(2) as pool:
        names = list(pool.map(take, range(2)))
    for number, name in enumerate(names):
        assert world.restore(f"out{number}", point=name) == {**FILES, b"mine": b"%d" % number}
    after = world.back_up(Tree(FILES))
    assert after.counter == 3
    assert len(world.writer().points()) == 4
    assert world.reader().verify().ok


def test_a_stream_cut_half_way_is_refused_by_every_reading_call(tmp_path: Path, store: Faulty) -> None:
    world = World(tmp_path, [store])
    world.back_up(Tree(FILES), kind=Kind.FULL)
    refused = 0
    for at in range(1, 60):
        store.arm(at, None)
        try:
            assert world.restore(f"out{at}") == FILES
        except IntegrityError:
            refused += 1
    assert refused >= 5
