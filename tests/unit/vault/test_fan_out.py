"""Every store at once: a store that fails, hangs or meets a bug costs the others nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest

from coffer.errors import NotAllowed, StoreFull, Unreachable
from coffer.vault.fan_out import FanOut
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Buffer
from tests.unit.vault.faulty import FaultyStore


@pytest.fixture
def good() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bad() -> Iterator[FaultyStore]:
    store = FaultyStore(MemoryStore())
    yield store
    store.release()


@pytest.fixture
def fan(good: MemoryStore, bad: FaultyStore) -> Iterator[FanOut]:
    fan = FanOut([good, bad], patience=0.1)
    yield fan
    bad.release()
    fan.close()


def put_many(fan: FanOut, count: int = 20) -> None:
    for number in range(count):
        fan.put(f"packs/{number:02}", b"%d" % number)
    fan.flush()


def names(store: MemoryStore | FaultyStore) -> list[str]:
    return [info.name for info in store.list()]


def test_every_store_has_everything(fan: FanOut, good: MemoryStore, bad: FaultyStore) -> None:
    put_many(fan)
    assert names(good) == names(bad) == [f"packs/{number:02}" for number in range(20)]
    assert fan.failures == {}
    assert fan.live() == [good, bad]


def test_a_store_that_fails_is_left_behind_with_its_reason(fan: FanOut, good: MemoryStore, bad: FaultyStore) -> None:
    bad.fail(lambda: StoreFull("full"), at=5)
    put_many(fan)
    assert len(names(good)) == 20
    assert isinstance(fan.failures[bad.url], StoreFull)
    assert fan.live() == [good]
    assert len(bad.calls) <= 6


def test_a_store_that_hangs_holds_up_nobody_for_ever(fan: FanOut, good: MemoryStore, bad: FaultyStore) -> None:
    bad.hang(at=3)  # both of its threads
    bad.hang(at=4)
    put_many(fan)
    assert len(names(good)) == 20
    assert "nothing done" in str(fan.failures[bad.url])


def test_a_store_that_hangs_at_the_very_end_is_not_waited_for(fan: FanOut, good: MemoryStore, bad: FaultyStore) -> None:
    bad.hang(at=20)
    put_many(fan)
    assert list(fan.failures) == [bad.url]


def test_a_store_that_is_alone_is_waited_for(bad: FaultyStore) -> None:
    fan = FanOut([bad], patience=0.05)
    bad.hang(at=1)
    fan.put("a", b"1")
    threading.Timer(0.4, bad.release).start()
    with pytest.raises(Unreachable, match="No answer came"):
        fan.flush()
    fan.close()


def test_if_all_fail_the_gravest_reason_is_given(bad: FaultyStore) -> None:
    other = FaultyStore(MemoryStore())
    fan = FanOut([bad, other])
    bad.fail(lambda: NotAllowed("no"))
    other.fail(lambda: Unreachable("away"))
    with pytest.raises(Unreachable, match="away"):
        put_many(fan)
    fan.close()


def test_a_slow_store_that_gets_on_is_waited_for(good: MemoryStore, bad: FaultyStore) -> None:
    """Completing a store takes long in one go; each answer in it is a sign of life."""
    fan = FanOut([good, bad], patience=0.2)
    pause = threading.Event()
    bad.act(lambda: [pause.wait(0.05), None][1], times=20, verbs=["put", "lock"])

    def complete(store: object) -> None:
        for number in range(10):
            store.put(f"packs/{number}", b"1")  # type: ignore[attr-defined]

    fan.run(complete)  # type: ignore[arg-type]
    fan.flush()
    assert fan.failures == {}
    assert len(names(bad)) == 10
    fan.close()


def test_locks_go_in_batches(good: MemoryStore, bad: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.vault.store_lane._LOCK_BATCH", 4)
    fan = FanOut([bad])
    for number in range(10):
        bad.put(f"{number}", b"1")
    until = bad.now().replace(year=9000)
    fan.run(lambda store: store.lock([f"{number}" for number in range(10)], until))
    fan.flush()
    fan.close()
    assert [call.name for call in bad.calls if call.verb == "lock"] == ["0", "4", "8"]
    assert bad.locked_until("9") == until


def test_a_bug_is_raised_as_it_is(fan: FanOut) -> None:
    def bug(_: object) -> None:
        raise ZeroDivisionError

    fan.run(bug)
    with pytest.raises(ZeroDivisionError):
        fan.flush()


def test_no_more_objects_wait_than_the_slowest_store_has_room_for(good: MemoryStore) -> None:
    gate = threading.Semaphore(0)

    class Gated(MemoryStore):
        def put(self, name: str, data: Buffer) -> None:
            gate.acquire()
            super().put(name, data)

        def lock(self, names: Sequence[str], until: datetime) -> None:
            raise AssertionError

    slow = Gated()
    fan = FanOut([good, slow], patience=60)
    thread = threading.Thread(target=put_many, args=(fan,), daemon=True)
    thread.start()
    for done in range(1, 21):
        gate.release()
        while len(slow.objects) < done:
            assert len(good.objects) - len(slow.objects) <= 5
    thread.join(10)
    fan.close()
    assert len(slow.objects) == len(good.objects) == 20
