"""What every store must do; each implementation runs all of it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from coffer.errors import CofferError, IntegrityError, NotThere, RefusedByPolicy
from coffer.vault.stores.protocol import Store


class StoreConformance:
    """Subclass with a fixture `store` that is empty."""

    def test_what_was_put_comes_back(self, store: Store) -> None:
        content = os.urandom(100_000)
        store.put("packs/ab/one", content)
        assert store.get("packs/ab/one") == content

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_is_taken(self, store: Store, kind: type) -> None:
        store.put("a/b", kind(b"content"))
        assert store.get("a/b") == b"content"

    def test_parts_of_an_object(self, store: Store) -> None:
        store.put("a", b"0123456789")
        assert store.get("a", 3) == b"3456789"
        assert store.get("a", 3, 4) == b"3456"
        assert store.get("a", 8, 100) == b"89"
        assert store.get("a", 10, 5) == b""
        assert store.get("a", 0, 0) == b""

    def test_an_empty_object(self, store: Store) -> None:
        store.put("empty", b"")
        assert store.get("empty") == b""
        assert store.head("empty").size == 0

    def test_nothing_is_overwritten(self, store: Store) -> None:
        store.put("a", b"first")
        with pytest.raises(IntegrityError, match="a"):
            store.put("a", b"other")
        assert store.get("a") == b"first"

    def test_the_same_bytes_again_are_fine(self, store: Store) -> None:
        store.put("a", b"first")
        store.put("a", b"first")
        assert [info.name for info in store.list()] == ["a"]

    def test_absence_is_said_as_absence(self, store: Store) -> None:
        for ask in (store.get, store.head):
            with pytest.raises(NotThere, match="none"):
                ask("none")

    def test_names_are_listed_in_order_below_a_prefix(self, store: Store) -> None:
        for name in ("b/2", "a/1", "b/1", "b-side/1", "b"[:1] + "b/1"):
            store.put(name, name.encode())
        assert [info.name for info in store.list("b/")] == ["b/1", "b/2"]
        assert sorted(info.name for info in store.list()) == ["a/1", "b-side/1", "b/1", "b/2", "bb/1"]
        assert [info.name for info in store.list("b/2")] == ["b/2"]
        assert list(store.list("nothing/")) == []

    def test_sizes_and_times(self, store: Store) -> None:
        store.put("a", b"12345")
        info = store.head("a")
        assert info.size == 5
        assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)
        assert [each.size for each in store.list()] == [5]

    def test_deleting_twice_is_fine(self, store: Store) -> None:
        store.put("a", b"1")
        store.delete("a")
        store.delete("a")
        with pytest.raises(NotThere):
            store.get("a")
        assert list(store.list()) == []

    def test_what_is_there_is_not_hidden(self, store: Store) -> None:
        store.put("packs/a", b"1")
        store.put("points/a", b"2")
        assert [*store.hidden()] == [*store.hidden("points/")] == []

    def test_its_clock_is_the_one_that_dates_objects(self, store: Store) -> None:
        before = store.now()
        store.put("a", b"1")
        second = timedelta(seconds=1)  # some clocks show no more
        assert before - second <= store.head("a").modified <= store.now() + second
        assert [info.name for info in store.list()] == ["a"]

    def test_a_lock_holds_until_its_date_and_is_never_shortened(self, store: Store) -> None:
        store.put("a", b"1")
        store.put("b", b"2")
        assert store.locked_until("a") is None
        until = store.now().replace(microsecond=0) + timedelta(days=2)
        store.lock(["a", "b"], until)
        store.lock(["a"], until - timedelta(days=1))
        if not store.keeps_locks:
            assert store.locked_until("a") is None
            return
        assert store.locked_until("a") == until
        store.lock(["b"], until + timedelta(days=1))
        assert store.locked_until("b") == until + timedelta(days=1)
        with pytest.raises(RefusedByPolicy, match="a"):
            store.delete("a")
        assert store.get("a") == b"1"

    def test_what_is_absent_cannot_be_locked(self, store: Store) -> None:
        with pytest.raises(NotThere):
            store.locked_until("none")
        if store.keeps_locks:
            with pytest.raises(NotThere):
                store.lock(["none"], store.now() + timedelta(days=1))

    def test_making_the_place_and_sweeping_it_touch_no_object(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.create()
        store.sweep(store.now() + timedelta(days=1))
        assert store.get("a/b") == b"1"

    def test_of_two_at_once_one_wins(self, store: Store) -> None:
        def put(content: bytes) -> bool:
            try:
                store.put("contested", content)
            except CofferError:
                return False
            return True

        contents = [bytes([number]) * 5000 for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            won = list(pool.map(put, contents))
        assert won.count(True) == 1
        assert store.get("contested") == contents[won.index(True)]
