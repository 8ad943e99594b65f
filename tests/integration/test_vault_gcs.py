"""The vault in Google Cloud Storage, as an emulator has it: the conformance suite, generations, a network that fails.

The emulator holds nothing by retention and ignores conditions on large uploads: there we look at what we send.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError
from coffer.vault.capture import Kind
from coffer.vault.stores import open_store
from coffer.vault.stores.gs import GsStore
from coffer.vault.verification import verify_at_rest
from tests.services.fault_proxy import FaultProxy
from tests.services.gcs import Gcs
from tests.unit.vault.making import Tree, World
from tests.unit.vault.store_conformance import StoreConformance

BODY = os.urandom(300_000)


def opened(url: str) -> GsStore:
    store = open_store(url)
    assert isinstance(store, GsStore)
    return store


@pytest.fixture
def store(gcs: Gcs) -> GsStore:
    return opened(gcs.url(f"test-{secrets.token_hex(4)}"))


@pytest.fixture
def proxy(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setattr("coffer.vault.stores.retrying.random.uniform", lambda _, __: 0.0)
    with FaultProxy(gcs.endpoint) as running:
        yield running


@pytest.fixture
def behind(gcs: Gcs, proxy: FaultProxy) -> GsStore:
    where = f"gs://{gcs.bucket}/test-{secrets.token_hex(4)}"
    return opened(f"{where}?endpoint={proxy.endpoint}&timeout=1&attempts=4")


class TestGsStore(StoreConformance):
    @pytest.fixture
    def store(self, gcs: Gcs) -> GsStore:
        return opened(gcs.url(f"test-{secrets.token_hex(4)}"))


def test_a_vault_lives_in_a_bucket(store: GsStore, tmp_path: Path) -> None:
    world = World(tmp_path, [store])
    files = {b"a": os.urandom(12 << 20), b"b": b"small"}
    world.back_up(Tree(files, block=1 << 20), kind=Kind.FULL)
    world.back_up(Tree({**files, b"c": b"new"}, same=frozenset(files)))
    assert world.restore() == {**files, b"c": b"new"}
    assert verify_at_rest([store]).ok


def test_more_objects_than_a_page_holds(store: GsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.vault.stores.gs_bucket._PAGE", 7)
    for number in range(23):
        store.put(f"packs/{number:02}", b"%d" % number)
    assert [info.name for info in store.list("packs/")] == [f"packs/{number:02}" for number in range(23)]


def test_older_generations_are_read_and_each_is_deleted(behind: GsStore, proxy: FaultProxy) -> None:
    behind.put("packs/a", BODY)
    blob = behind._bucket.blob("packs/a")
    blob.upload_from_string(b"rot")
    assert behind.get("packs/a") == b"rot"
    assert [*behind.older("packs/a")] == [b"rot", BODY]
    kept = behind._bucket.generations("packs/a")
    behind.delete("packs/a")
    asked = [request.partition("generation=")[2] for request in proxy.seen if request.startswith("DELETE")]
    # The oldest first. The emulator says 404 for one that is not live.
    assert [answer.partition("&")[0] for answer in asked] == [str(each) for each in reversed(kept)]
    with pytest.raises(NotThere):
        behind.get("packs/a")
    assert [*behind.older("packs/a")] == [b"rot", BODY]


def test_what_has_generations_and_none_that_is_live_is_hidden(store: GsStore) -> None:
    for name in ("packs/a", "packs/b", "points/c"):
        store.put(name, BODY)
    for name in ("packs/a", "points/c"):
        store._bucket.blob(name).delete()
    assert [*store.hidden()] == ["packs/a", "points/c"]
    assert [*store.hidden("points/")] == ["points/c"]


def test_a_lock_is_sent_as_locked_retention_and_only_made_longer(store: GsStore) -> None:
    store.put("packs/a", BODY)
    before = store.head("packs/a")
    vars(store)["keeps_locks"] = True  # the emulator knows retention of objects, but not of buckets
    until = store.now() + timedelta(days=3)
    store.lock(["packs/a"], until)
    store.lock(["packs/a"], until - timedelta(days=1))
    held = store.locked_until("packs/a")
    assert held is not None
    assert until <= held < until + timedelta(seconds=1)
    assert store._bucket.look("packs/a").retention.mode == "Locked"
    assert store.head("packs/a") == before  # no younger by it


@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_every_put_is_on_condition_that_nothing_stands_there(behind: GsStore, proxy: FaultProxy, size: int) -> None:
    """Large ones, too, though the emulator does not look at theirs."""
    content = os.urandom(size)
    behind.put("packs/a", content)
    puts = [request for request in proxy.seen if request.startswith("POST /upload/")]
    assert len(puts) == 1
    assert "ifGenerationMatch=0" in puts[0]
    assert behind.get("packs/a") == content


@pytest.mark.parametrize("fault", ["busy", "reset", "hang", "lose"])
def test_a_put_that_fails_by_chance_is_done_in_the_end(behind: GsStore, proxy: FaultProxy, fault: str) -> None:
    getattr(proxy, fault)(method="POST", **({"times": 2} if fault != "hang" else {}))
    behind.put("packs/a", BODY)
    assert behind.get("packs/a") == BODY
    with pytest.raises(IntegrityError):
        behind.put("packs/a", b"other")


@pytest.mark.parametrize("fault", ["busy", "reset", "hang", "cut", "damage"])
def test_a_get_that_fails_by_chance_is_done_in_the_end(behind: GsStore, proxy: FaultProxy, fault: str) -> None:
    behind.put("packs/a", BODY)
    behind.requests.clear()
    getattr(proxy, fault)(method="GET", **({"times": 2} if fault != "hang" else {}))
    assert behind.get("packs/a") == BODY
    assert behind.requests["GET"] == (2 if fault == "hang" else 3)


def test_a_store_that_stays_busy_is_silent_not_empty(behind: GsStore, proxy: FaultProxy) -> None:
    proxy.busy(times=99)
    for ask in (behind.get, behind.head, lambda name: [*behind.list(name)], lambda name: behind.put(name, BODY)):
        with pytest.raises(Unreachable, match="503"):
            ask("packs/a")
    assert len(proxy.seen) == 4 * 4


def test_a_refusal_is_not_asked_again(behind: GsStore, proxy: FaultProxy) -> None:
    proxy.busy(403, times=99)
    with pytest.raises(NotAllowed):
        behind.get("packs/a")
    assert len(proxy.seen) == 1


def test_damage_that_stays_is_an_integrity_error(behind: GsStore, proxy: FaultProxy) -> None:
    behind.put("packs/a", BODY)
    proxy.damage(times=99)
    with pytest.raises(IntegrityError, match="packs/a"):
        behind.get("packs/a")


def test_an_absent_bucket_is_not_an_absent_object(gcs: Gcs) -> None:
    store = opened(f"gs://no-such-bucket/x?endpoint={gcs.endpoint}")
    for ask in (store.get, store.head, lambda name: [*store.list(name)]):
        with pytest.raises(OutsideSystemError, match="no such bucket"):
            ask("a")


def test_what_cannot_be_reached_is_not_absent() -> None:
    with pytest.raises(Unreachable):
        opened("gs://bucket/x?endpoint=http://127.0.0.1:9&attempts=1").get("a")


def test_without_credentials_there_must_be_an_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(UsageError, match="credentials"):
        open_store("gs://bucket/prefix")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match=r"none\.json"):
        open_store("gs://bucket/prefix?endpoint=http://127.0.0.1:9")
