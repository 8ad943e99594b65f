"""The fault injector does what the tests that use it believe, and nothing when it is not told to."""

from __future__ import annotations

import threading

import pytest

from coffer.errors import StoreFull, Unreachable
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.faulty import Call, FaultyStore
from tests.unit.vault.store_conformance import StoreConformance


class TestUnarmed(StoreConformance):
    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(MemoryStore())


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


def test_the_second_put_fails_before_it_did_anything(store: FaultyStore) -> None:
    store.fail(lambda: StoreFull("full"), at=2, verbs=["put"], prefix="a/")
    store.put("a/1", b"1")
    store.put("b/1", b"1")
    with pytest.raises(StoreFull):
        store.put("a/2", b"2")
    store.put("a/3", b"3")
    assert [info.name for info in store.list()] == ["a/1", "a/3", "b/1"]
    assert store.calls[2:4] == [Call("put", "a/2"), Call("put", "a/3")]


def test_an_answer_lost_leaves_the_object(store: FaultyStore) -> None:
    store.fail(after=True)
    with pytest.raises(Unreachable):
        store.put("a", b"1")
    assert store.get("a") == b"1"


def test_several_times_in_a_row_and_then_healed(store: FaultyStore) -> None:
    store.put("a", b"1")
    store.fail(times=3)
    for _ in range(3):
        with pytest.raises(Unreachable):
            store.get("a")
    assert store.get("a") == b"1"
    store.fail(times=99)
    store.heal()
    assert store.head("a").size == 1


def test_cut_and_stale(store: FaultyStore) -> None:
    store.put("a", b"1234")
    store.cut(at=2)
    store.list_stale()
    store.put("b", b"2")
    assert [store.get("a") for _ in range(3)] == [b"1234", b"12", b"1234"]
    assert [info.name for info in store.list()] == ["a"]


def test_a_hang_ends_when_it_is_released(store: FaultyStore) -> None:
    store.hang(verbs=["get"])
    caught: list[Unreachable] = []

    def ask() -> None:
        try:
            store.get("a")
        except Unreachable as error:
            caught.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert not caught
    store.release()
    thread.join(10)
    assert len(caught) == 1
