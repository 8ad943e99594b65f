"""Stores that fail, lag or hold bad objects, beside one that does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, NotInEveryStore, NotThere, StoreFull, Unreachable
from coffer.vault.capture import Kind
from coffer.vault.replication import replicate
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Buffer, ObjectInfo
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World


class Moody(MemoryStore):
    """A memory store that answers everything with an error while it has one."""

    mood: CofferError | None = None

    def _speak(self) -> None:
        if self.mood is not None:
            raise self.mood

    def put(self, name: str, data: Buffer) -> None:
        self._speak()
        super().put(name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self._speak()
        return super().get(name, offset, length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._speak()
        return super().list(prefix)


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
def world(tmp_path: Path, moody: Moody) -> World:
    return World(tmp_path, [MemoryStore(), moody])


@pytest.mark.parametrize("mood", [Unreachable("down"), StoreFull("full")])
def test_a_point_is_committed_where_it_can_be_and_that_is_said(world: World, moody: Moody, mood: CofferError) -> None:
    writer = world.writer()
    moody.mood = mood
    with pytest.raises(NotInEveryStore, match=mood.summary) as caught:
        world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    assert caught.value.point.stores == (world.stores[0].url,)
    assert [point.name for point in writer.points()] == [caught.value.point.name]
    assert world.restore() == {b"a": b"1"}


def test_the_next_point_brings_what_a_store_missed(world: World, moody: Moody) -> None:
    first = {b"a": os.urandom(100_000)}
    moody.mood = Unreachable("down")
    with pytest.raises(NotInEveryStore):
        world.back_up(Tree(first), kind=Kind.FULL)
    moody.mood = None
    world.back_up(Tree({**first, b"b": b"2"}, same=frozenset(first)))
    assert world.restore(stores=[moody]) == {**first, b"b": b"2"}


def test_if_no_store_takes_it_there_is_no_point(tmp_path: Path, moody: Moody) -> None:
    world = World(tmp_path, [moody])
    writer = world.writer()
    moody.mood = StoreFull("full")
    with pytest.raises(StoreFull):
        world.back_up(Tree({b"a": os.urandom(3 << 20)}))
    moody.mood = None
    assert writer.points() == []


def test_a_restore_moves_on_in_the_middle_of_a_file_and_says_so(world: World) -> None:
    files = {b"large": os.urandom(6 << 20)}
    world.back_up(Tree(files), kind=Kind.FULL)
    bad = world.memory
    pack = next(name for name in bad.objects if name.startswith("packs/"))
    middle = 3 << 20
    bad.objects[pack] = bad.objects[pack][:middle] + b"rot!" + bad.objects[pack][middle + 4 :]
    reader = world.reader()
    summary = reader.restore(reader.point("latest"), "files", world.folder / "out")
    assert (world.folder / "out/large").read_bytes() == files[b"large"]
    assert any(bad.url in note and pack in note for note in summary.notes)


def test_rot_in_every_store_is_named(world: World, moody: Moody) -> None:
    world.back_up(Tree({b"large": os.urandom(2 << 20)}), kind=Kind.FULL)
    pack = next(name for name in moody.objects if name.startswith("packs/"))
    for store in (world.memory, moody):
        store.objects[pack] = store.objects[pack][:-1] + bytes([store.objects[pack][-1] ^ 1])
    with pytest.raises(IntegrityError, match=pack):
        world.restore()


def test_wal_absent_here_and_silent_there_is_not_absent(world: World, moody: Moody) -> None:
    reader = world.reader()
    moody.mood = Unreachable("down")
    with pytest.raises(Unreachable):
        reader.get_wal(CLUSTER, SEGMENT)
    with pytest.raises(Unreachable):
        reader.wal_names(CLUSTER, every_store=True)
    assert reader.wal_names(CLUSTER) == []
    moody.mood = None
    with pytest.raises(NotThere):
        reader.get_wal(CLUSTER, SEGMENT)


def test_wal_in_one_store_only_is_said_and_pushed_again(world: World, moody: Moody) -> None:
    writer = world.writer()
    moody.mood = Unreachable("down")
    with pytest.raises(NotInEveryStore):
        writer.put_wal(CLUSTER, SEGMENT, b"wal" * 1000)
    assert writer.has_wal(CLUSTER, SEGMENT) == {world.stores[0].url: True}
    moody.mood = None
    assert writer.has_wal(CLUSTER, SEGMENT) == {world.stores[0].url: True, moody.url: False}
    writer.put_wal(CLUSTER, SEGMENT, b"wal" * 1000)
    assert all(writer.has_wal(CLUSTER, SEGMENT).values())
    assert world.reader([moody]).get_wal(CLUSTER, SEGMENT) == b"wal" * 1000


def test_a_replica_opens_alone_and_a_second_run_copies_nothing(world: World) -> None:
    files = {b"a": os.urandom(100_000)}
    world.back_up(Tree(files), kind=Kind.FULL)
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal")
    copy = MemoryStore()
    report = replicate(world.stores[0], [copy])
    assert report.ok
    assert report.objects == len(copy.objects) == len(world.memory.objects)
    assert replicate(world.stores[0], [copy]).objects == 0
    assert world.restore(stores=[copy]) == files
    assert verify_at_rest([copy, world.stores[0]]).ok


def test_replication_takes_no_rot_along(world: World) -> None:
    world.back_up(Tree({b"a": os.urandom(100_000)}), kind=Kind.FULL)
    good = world.back_up(Tree({b"b": os.urandom(100_000)}, name="files"), kind=Kind.FULL, service="other")
    bad = world.memory
    pack = next(name for name, _ in _needs(world, "app") if name.startswith("packs/"))
    bad.objects[pack] = bytes(len(bad.objects[pack]))
    copy = MemoryStore()
    report = replicate(bad, [copy])
    assert not report.ok
    assert pack in report.problems[0]
    assert pack not in copy.objects
    assert report.points == [good.name]
    assert [point.name for point in world.reader([copy, world.stores[1]]).points("other")] == [good.name]


def test_a_replica_into_another_vault_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    with pytest.raises(IntegrityError, match="another vault"):
        replicate(world.stores[0], other.stores)


def _needs(world: World, service: str) -> list[tuple[str, int]]:
    from coffer.vault import points

    access = world.reader().access()
    name = next(each for each in world.memory.objects if each.startswith(f"lists/{service}/"))
    return points.open_list(access.configuration, name, world.memory.objects[name]).objects


def test_what_is_written_while_stores_are_listed_is_not_missed(world: World, moody: Moody) -> None:
    """The second store is listed after WAL came into both: the first one's listing is older."""
    writer = world.writer()
    listed = moody.list

    def list_late(prefix: str = "") -> Iterator[ObjectInfo]:
        if not prefix and CLUSTER not in "".join(moody.objects):
            writer.put_wal(CLUSTER, SEGMENT, b"wal")
        return listed(prefix)

    moody.list = list_late  # type: ignore[method-assign]
    assert verify_at_rest(world.stores).ok
    assert CLUSTER in "".join(moody.objects)
