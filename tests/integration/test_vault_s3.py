"""The vault in a real S3 service: the conformance suite, versions, locks, and who may do what."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotAllowed, OutsideSystemError, RefusedByPolicy, Unreachable, UsageError
from coffer.vault.capture import Kind
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from tests.services.s3 import S3
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World
from tests.unit.vault.store_conformance import StoreConformance


def opened(server: S3, prefix: str = "", *, profile: str = "writer", more: str = "") -> Store:
    url = server.url(prefix or f"test-{secrets.token_hex(4)}", profile=profile) + more
    return open_store(url, credentials_file=server.credentials_file)


class TestS3Store(StoreConformance):
    @pytest.fixture
    def store(self, s3: S3) -> Store:
        return opened(s3, profile="admin")  # the suite deletes, which a writer may not


class TestS3StoreWithoutVersions(StoreConformance):
    """A bucket that keeps neither versions nor locks: less is promised, nothing goes wrong."""

    @pytest.fixture
    def store(self, s3: S3) -> Store:
        client, bucket = s3.client("admin"), "coffer-plain"
        if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        url = s3.url(f"test-{secrets.token_hex(4)}", profile="admin").replace(s3.bucket, bucket, 1)
        return open_store(url, credentials_file=s3.credentials_file)

    def test_it_says_that_it_keeps_no_locks(self, store: Store) -> None:
        assert not store.keeps_locks


def test_a_vault_lives_in_a_bucket_and_its_writer_may_not_delete(s3: S3, tmp_path: Path) -> None:
    store = opened(s3)
    world = World(tmp_path, [store])
    files = {b"a": os.urandom(3 << 20), b"b": b"small"}
    world.back_up(Tree(files), kind=Kind.FULL)
    world.back_up(Tree({**files, b"c": b"new"}, same=frozenset(files)))
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal" * 1000)
    assert world.restore() == {**files, b"c": b"new"}
    assert world.reader().get_wal(CLUSTER, SEGMENT) == b"wal" * 1000
    assert world.reader().verify().ok
    assert verify_at_rest([store]).ok
    with pytest.raises((RefusedByPolicy, NotAllowed)):
        store.delete(next(store.list("packs/")).name)
    assert verify_at_rest([store]).ok


def test_an_overwritten_object_is_read_from_the_version_that_is_genuine(s3: S3, tmp_path: Path) -> None:
    """Someone with more rights puts rot over every object: versions hold what was written."""
    prefix = f"versions-{secrets.token_hex(4)}"
    store = opened(s3, prefix)
    world = World(tmp_path, [store])
    files = {b"a": os.urandom(200_000)}
    world.back_up(Tree(files), kind=Kind.FULL)
    for info in list(store.list()):
        s3.client("admin").put_object(Bucket=s3.bucket, Key=f"{prefix}/{info.name}", Body=b"rot" * 1000)
    assert not verify_at_rest([store]).ok
    assert world.restore() == files


def test_server_side_encryption_is_asked_for(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS has no keys here: what is sent is looked at."""
    for option, expected in {
        "AES256": {"ServerSideEncryption": "AES256"},
        "aws:kms": {"ServerSideEncryption": "aws:kms"},
        "aws:kms:key-1": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"},
    }.items():
        store = opened(s3, more=f"&sse={option}")
        sent: list[dict[str, object]] = []
        monkeypatch.setattr(store._bucket._client, "put_object", lambda sent=sent, **more: sent.append(more) or {})
        store.put("packs/a", b"1")
        assert expected.items() <= sent[0].items()
    with pytest.raises(UsageError, match="sse"):
        opened(s3, more="&sse=rot13")


def test_an_object_under_a_lock_stays(s3: S3) -> None:
    store = opened(s3, profile="admin", more="&lock-days=1")
    store.put("packs/one", b"kept")
    with pytest.raises(RefusedByPolicy):
        store.delete("packs/one")
    assert b"kept" in [*store.older("packs/one")]


def test_what_cannot_be_reached_is_not_absent(s3: S3, tmp_path: Path) -> None:
    away = open_store(
        "s3://bucket/x?endpoint=http://127.0.0.1:9&region=x&profile=writer", credentials_file=s3.credentials_file
    )
    with pytest.raises(Unreachable):
        away.get("a")
    with pytest.raises(OutsideSystemError, match="bucket"):
        open_store(
            f"s3://no-such-bucket/x?endpoint={s3.endpoint}&region={s3.region}&profile=admin",
            credentials_file=s3.credentials_file,
        ).get("a")
    stranger = tmp_path / "stranger"
    stranger.write_text("[writer]\naws_access_key_id = stranger\naws_secret_access_key = stranger\n")
    with pytest.raises(NotAllowed):
        open_store(s3.url("x"), credentials_file=stranger).get("a")


def test_a_profile_or_file_that_is_not_there_is_said(s3: S3, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profile"):
        open_store(s3.url(profile="nobody"), credentials_file=s3.credentials_file)
    with pytest.raises(UsageError, match="credentials file"):
        open_store(s3.url(), credentials_file=tmp_path / "none")


def test_other_bytes_under_a_name_are_an_error(s3: S3) -> None:
    store = opened(s3)
    store.put("a", b"1")
    with pytest.raises(IntegrityError):
        store.put("a", b"2")
