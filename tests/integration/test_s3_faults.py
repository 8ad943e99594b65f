"""An S3 store behind a network that fails: what deserves it is asked again, what does not is said at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest

from coffer.errors import IntegrityError, NotAllowed, NotThere, Unreachable
from coffer.vault.stores import open_store
from coffer.vault.stores.s3 import S3Store
from tests.services.fault_proxy import FaultProxy
from tests.services.s3 import S3

BODY = os.urandom(300_000)
LARGE = os.urandom(6 << 20)


@pytest.fixture(scope="module")
def running(s3: S3) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def shared(s3: S3, running: FaultProxy) -> S3Store:
    return opened(s3, running)


@pytest.fixture
def proxy(running: FaultProxy) -> FaultProxy:
    running.heal()
    running.seen.clear()
    return running


@pytest.fixture
def store(shared: S3Store, proxy: FaultProxy) -> S3Store:
    shared.requests.clear()
    shared._bucket._prefix = f"faults-{secrets.token_hex(4)}/"
    return shared


def opened(s3: S3, proxy: FaultProxy, *, profile: str = "admin", more: str = "") -> S3Store:
    url = f"s3://{s3.bucket}/faults-{secrets.token_hex(4)}?endpoint={proxy.endpoint}&region={s3.region}"
    options = f"&profile={profile}&timeout=1&attempts=4&part-mib=5{more}"
    opened = open_store(url + options, credentials_file=s3.credentials_file)
    assert isinstance(opened, S3Store)
    return opened


@pytest.mark.parametrize("fault", ["busy", "reset", "hang", "lose"])
def test_a_put_that_fails_by_chance_is_done_in_the_end(store: S3Store, proxy: FaultProxy, fault: str) -> None:
    getattr(proxy, fault)(method="PUT", **({"times": 2} if fault != "hang" else {}))
    store.put("packs/a", BODY)
    assert store.get("packs/a") == BODY
    assert [info.name for info in store.list()] == ["packs/a"]


@pytest.mark.parametrize("fault", ["busy", "reset", "hang", "lose", "cut", "damage"])
def test_a_get_that_fails_by_chance_is_done_in_the_end(store: S3Store, proxy: FaultProxy, fault: str) -> None:
    store.put("packs/a", BODY)
    getattr(proxy, fault)(method="GET", **({"times": 2} if fault != "hang" else {}))
    assert store.get("packs/a") == BODY
    assert store.requests["GetObject"] == (2 if fault == "hang" else 3)


def test_a_range_that_is_cut_is_asked_again(store: S3Store, proxy: FaultProxy) -> None:
    store.put("packs/a", BODY)
    proxy.cut(times=3)
    assert store.get("packs/a", 1000, 100_000) == BODY[1000:101_000]


def test_each_page_of_a_listing_is_asked_again_by_itself(store: S3Store, proxy: FaultProxy) -> None:
    store.put("packs/a", BODY)
    proxy.busy(429, times=2, query="list-type=2")
    assert [info.name for info in store.list("packs/")] == ["packs/a"]


def test_a_store_that_stays_busy_is_silent_not_empty(store: S3Store, proxy: FaultProxy) -> None:
    proxy.busy(times=99)
    for ask in (store.get, store.head, lambda name: [*store.list(name)], lambda name: store.put(name, BODY)):
        with pytest.raises(Unreachable, match="503"):
            ask("packs/a")
    assert len(proxy.seen) == 4 * 4


def test_a_store_that_hangs_ends_by_its_deadline(s3: S3, proxy: FaultProxy) -> None:
    proxy.hang(times=99)
    with pytest.raises(Unreachable, match="Read timeout"):
        opened(s3, proxy, more="&deadline=1").get("packs/a")
    assert len(proxy.seen) <= 2


def test_what_is_answered_is_not_asked_again(s3: S3, store: S3Store, proxy: FaultProxy) -> None:
    with pytest.raises(NotThere):
        store.get("packs/none")
    store.put("packs/a", BODY)
    writer = opened(s3, proxy, profile="writer")
    writer._bucket._prefix = store._bucket._prefix
    with pytest.raises(NotAllowed):
        writer._bucket.ask("delete_object", "packs/a")
    with pytest.raises(IntegrityError):
        store.put("packs/a", b"other")
    assert store.requests == {"GetObject": 1, "PutObject": 2, "HeadObject": 1}
    assert writer.requests == {"DeleteObject": 1}


def test_damage_that_stays_is_an_integrity_error(store: S3Store, proxy: FaultProxy) -> None:
    store.put("packs/a", BODY)
    proxy.damage(times=99)
    with pytest.raises(IntegrityError, match="packs/a"):
        store.get("packs/a")


@pytest.mark.parametrize("fault", ["busy", "reset", "lose"])
@pytest.mark.parametrize("step", ["?uploads", "partNumber=2", "uploadId"])
def test_parts_that_fail_by_chance_are_sent_again(store: S3Store, proxy: FaultProxy, fault: str, step: str) -> None:
    getattr(proxy, fault)(method="PUT" if "part" in step else "POST", query=step)
    store.put("packs/large", LARGE)
    assert store.get("packs/large") == LARGE
    store.put("packs/large", LARGE)
    with pytest.raises(IntegrityError):
        store.put("packs/large", LARGE[:-1] + b"x")
    assert unfinished(store) <= (1 if step == "?uploads" and fault == "lose" else 0)


def test_a_conflict_while_parts_are_completed_sends_them_anew(store: S3Store, proxy: FaultProxy) -> None:
    proxy.busy(409, times=4, method="POST", query="uploadId")
    store.put("packs/large", LARGE)
    assert store.get("packs/large") == LARGE
    assert store.requests["CreateMultipartUpload"] == 2
    assert unfinished(store) == 0


def test_a_conflict_of_puts_is_asked_again(store: S3Store, proxy: FaultProxy) -> None:
    proxy.busy(409, times=2, method="PUT")
    store.put("packs/a", memoryview(BODY))
    assert store.get("packs/a") == BODY


def test_a_put_in_parts_that_fails_leaves_none_behind(store: S3Store, proxy: FaultProxy) -> None:
    proxy.busy(times=99, query="partNumber=2")
    with pytest.raises(Unreachable):
        store.put("packs/large", LARGE)
    assert unfinished(store) == 0
    assert [*store.list()] == []


def test_parts_of_a_killed_writer_are_swept_when_they_are_old(store: S3Store) -> None:
    store._bucket.ask("create_multipart_upload", "packs/killed")
    store.sweep(store.now() - timedelta(hours=1))
    assert unfinished(store) == 1
    store.sweep(store.now() + timedelta(seconds=2))
    assert unfinished(store) == 0


def test_versions_and_markers_are_deleted_over_several_pages(
    s3: S3,
    store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.put("packs/a", BODY)
    client, key = s3.client("admin"), store._bucket._prefix + "packs/a"
    for number in range(4):
        client.put_object(Bucket=s3.bucket, Key=key, Body=b"rot %d" % number)
    client.delete_object(Bucket=s3.bucket, Key=key)
    pages = store._bucket.pages
    monkeypatch.setattr(store._bucket, "pages", lambda *names, **more: pages(*names, **more, MaxKeys=2))
    assert [*store.older("packs/a")] == [b"rot 3", b"rot 2", b"rot 1", b"rot 0", BODY]
    store.delete("packs/a")
    left = client.list_object_versions(Bucket=s3.bucket, Prefix=key)
    assert not {"Versions", "DeleteMarkers"} & set(left)


def unfinished(store: S3Store) -> int:
    return sum(len(page.get("Uploads", [])) for page in store._bucket.pages("list_multipart_uploads", ""))
