"""A restore from stores that fail, hang, cut short, hold bad objects or were tampered with, beside a good one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotThere, Unreachable
from coffer.vault.capture import Kind
from coffer.vault.rate_limit import RateLimit
from coffer.vault.reader import VaultReader
from coffer.vault.store_health import StoreHealth
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World, read_tree

FILES = {b"%d" % n: os.urandom(9 << 20) for n in range(4)}
PACKS = "packs/"


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyStore:
    return FaultyStore(MemoryStore())


@pytest.fixture
def world(tmp_path: Path, faulty: FaultyStore) -> World:
    world = World(tmp_path, [faulty, MemoryStore()])
    world.back_up(Tree(FILES, block=1 << 20), kind=Kind.FULL)
    faulty.calls.clear()
    return world


def restore(world: World, reader: VaultReader | None = None) -> tuple[dict[bytes, bytes], tuple[str, ...]]:
    reader = reader or world.reader()
    summary = reader.restore(reader.point("latest"), "files", world.folder / "out")
    return read_tree(world.folder / "out"), summary.notes


def reads(store: FaultyStore) -> int:
    return sum(call.verb == "get" and call.name.startswith(PACKS) for call in store.calls)


HARMS: dict[str, tuple[Callable[[FaultyStore], None], str]] = {
    "fails once": (lambda store: store.fail(at=3, verbs=["get"], prefix=PACKS), "503"),
    "may no longer be read": (
        lambda store: store.fail(lambda: NotAllowed("403"), at=2, times=99, verbs=["get"], prefix=PACKS),
        "403",
    ),
    "loses a pack": (
        lambda store: store.fail(lambda: NotThere("gone"), at=2, times=99, verbs=["get"], prefix=PACKS),
        "gone",
    ),
    "cuts the stream": (lambda store: store.cut(at=2, prefix=PACKS), "ends early"),
}


@pytest.mark.parametrize(("harm", "said"), HARMS.values(), ids=HARMS)
def test_the_next_store_helps_in_the_middle_of_a_file(
    world: World, faulty: FaultyStore, harm: Callable[[FaultyStore], None], said: str
) -> None:
    harm(faulty)
    files, notes = restore(world)
    assert files == FILES
    assert any(said in note and faulty.url in note for note in notes)


def test_a_store_that_hangs_is_left_behind(world: World, faulty: FaultyStore) -> None:
    reader = world.reader()
    reader.access().stores.patience = 0.2
    for at in range(2, 9):
        faulty.hang(at=at, verbs=["get"], prefix=PACKS)
    files, notes = restore(world, reader)
    faulty.release()
    assert files == FILES
    assert any("did not answer for 0.2 s; others are asked first" in note for note in notes)
    assert reads(faulty) < 9  # those that were in flight, not every one


def test_a_store_that_keeps_failing_is_not_asked_for_everything(world: World, faulty: FaultyStore) -> None:
    reader = world.reader()
    reader.jobs = 1
    faulty.fail(times=999, verbs=["get"], prefix=PACKS)
    files, notes = restore(world, reader)
    assert files == FILES
    assert reads(faulty) == 2
    assert any("keeps failing; others are asked first" in note for note in notes)


def test_what_is_bad_here_and_there_is_put_together_from_both(world: World, faulty: FaultyStore) -> None:
    good = world.stores[1]
    assert isinstance(faulty.inner, MemoryStore)
    assert isinstance(good, MemoryStore)
    pack = max((name for name in good.objects if name.startswith(PACKS)), key=lambda name: len(good.objects[name]))
    for store, at in ((faulty.inner, 2 << 20), (good, 20 << 20)):
        data = store.objects[pack]
        store.objects[pack] = data[:at] + bytes(4) + data[at + 4 :]
    files, notes = restore(world)
    assert files == FILES
    assert sum(pack in note and "read elsewhere" in note for note in notes) == 1


class Versions(MemoryStore):
    """A bucket that keeps what was written first, whatever came over it."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.first: dict[str, bytes] = {}

    def older(self, name: str) -> Iterator[bytes]:
        return iter([b"another version", *([self.first[name]] if name in self.first else [])])


@pytest.mark.parametrize("harm", ["overwritten", "hidden"])
def test_what_was_tampered_with_is_read_from_its_versions(tmp_path: Path, harm: str) -> None:
    store = Versions("versions")
    world = World(tmp_path, [store])
    world.back_up(Tree(FILES, block=1 << 20), kind=Kind.FULL)
    store.first = dict(store.objects)
    for name in [name for name in store.objects if name.startswith(PACKS)]:
        if harm == "hidden":
            del store.objects[name]
        else:
            store.objects[name] = os.urandom(len(store.objects[name]))
    files, notes = restore(world)
    assert files == FILES
    assert any("packs/" in note and ("tampering" in note or "read elsewhere" in note) for note in notes)


def test_what_no_store_has_is_an_integrity_error_that_names_it(world: World, faulty: FaultyStore) -> None:
    other = world.stores[1]
    assert isinstance(faulty.inner, MemoryStore)
    assert isinstance(other, MemoryStore)
    pack = next(name for name in other.objects if name.startswith(PACKS))
    del faulty.inner.objects[pack], other.objects[pack]
    with pytest.raises(IntegrityError, match=pack):
        restore(world)


def test_no_store_that_answers_is_not_absence(world: World) -> None:
    faulty = [FaultyStore(store) for store in world.stores]
    reader = world.reader(faulty)
    point = reader.point("latest")
    for store in faulty:
        store.fail(times=999, prefix=PACKS)
    with pytest.raises(Unreachable):
        reader.restore(point, "files", world.folder / "out")


def test_an_answer_that_comes_late_is_heard_when_no_other_store_helps() -> None:
    slow, dead = MemoryStore("slow"), MemoryStore("dead")
    asked = threading.Event()
    stores = StoreSet([slow, dead])
    stores.patience = 0.05

    def attempt(store: object) -> bytes:
        if store is dead:
            asked.set()
            raise Unreachable("503")
        assert asked.wait(20), "the other store was not asked"
        return b"late"

    assert stores.first("a", attempt) == b"late"
    assert any("503" in note for note in stores.notes)


def test_a_store_rests_longer_each_time_and_comes_back() -> None:
    now = [0.0]
    health = StoreHealth(lambda: now[0])
    one, two = MemoryStore("one"), MemoryStore("two")
    assert not health.failed(one)
    assert health.order([one, two]) == [one, two]
    assert health.failed(one)
    assert health.order([one, two]) == [two, one]
    now[0] = 31
    assert health.order([one, two]) == [one, two]
    assert health.failed(one)
    now[0] = 31 + 59
    assert health.order([one, two]) == [two, one]
    now[0] = 31 + 61
    assert health.order([one, two]) == [one, two]
    health.answered(one)
    assert not health.failed(one)


def test_a_rate_is_kept_by_all_threads_together() -> None:
    now, slept = [0.0], [0.0]

    def pause(seconds: float) -> None:
        slept[0] += seconds
        now[0] += seconds

    limit = RateLimit(100, lambda: now[0], pause)
    for _ in range(5):
        limit.take(100)
    assert slept[0] == pytest.approx(4)  # what is taken first passes at once
    now[0] += 100
    limit.take(100)
    limit.take(100)
    assert slept[0] == pytest.approx(5)  # rest is not saved up


class Counting(MemoryStore):
    """Counts what is read of packs."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.bytes = self.requests = 0

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = super().get(name, offset, length)
        if name.startswith(PACKS):
            self.bytes += len(data)
            self.requests += 1
        return data


def test_the_newest_incremental_costs_no_more_to_restore_than_a_full(tmp_path: Path) -> None:
    """Five incrementals of pages, of whole files and of new ones upon a full; then a full of the same."""
    store = Counting()
    world = World(tmp_path, [store])
    relation = {b"rel/%d" % n: os.urandom(2 << 20) for n in range(4)}
    small = {b"small/%04d" % n: os.urandom(3000) for n in range(1000)}
    world.back_up(Tree({**relation, **small}, block=1 << 20), kind=Kind.FULL)
    for turn in range(5):
        pages = {name: sorted({(turn * 37 + n * 11) % 256 for n in range(8)}) for name in relation}
        for name, numbers in pages.items():
            content = bytearray(relation[name])
            for page in numbers:
                content[8192 * page : 8192 * page + 8192] = os.urandom(8192)
            relation[name] = bytes(content)
        changed = {b"small/%04d" % n: os.urandom(3000) for n in range(turn, 1000, 100)}
        small.update(changed)
        world.back_up(Tree({**relation, **small}, pages=pages, same=frozenset(small) - frozenset(changed)))

    def cost(target: str) -> tuple[int, int]:
        store.bytes = store.requests = 0
        assert world.restore(target) == {**relation, **small}
        return store.bytes, store.requests

    incremental = cost("incremental")
    (full_world := tmp_path / "full").mkdir()
    store = Counting()
    world = World(full_world, [store])
    world.back_up(Tree({**relation, **small}, block=1 << 20), kind=Kind.FULL)
    full = cost("full")
    assert incremental[0] <= 1.15 * full[0], (incremental, full)
    assert incremental[1] <= full[1] + 5 * 3  # a few neighbourhoods a point, not one a chunk


def test_the_error_of_the_first_store_is_not_lost(world: World, faulty: FaultyStore) -> None:
    only = world.reader([faulty])
    point = only.point("latest")
    faulty.fail(lambda: CofferError("of its own kind"), verbs=["get"], times=99, prefix=PACKS)
    with pytest.raises(CofferError, match="of its own kind"):
        only.restore(point, "files", world.folder / "out")
