"""What a thief of the writer's store credentials can do to a committed object with raw boto3: nothing that lasts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from coffer.errors import NotAllowed, RefusedByPolicy
from coffer.vault.capture import Kind
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from tests.services.s3 import S3
from tests.unit.vault.making import Tree, World

FILES = {b"a": b"kept" * 10_000}


class Committed:
    """A point in a bucket, everything of it locked for two days, and one of its packs."""

    def __init__(self, server: S3, folder: Path) -> None:
        self.bucket, self.prefix = server.bucket, f"thief-{secrets.token_hex(4)}"
        self.store = self.opened(server, "writer")
        self.world = World(folder, [self.store])
        self.world.back_up(Tree(FILES), kind=Kind.FULL)
        self.until = self.store.now().replace(microsecond=0) + timedelta(days=2)
        self.store.lock([info.name for info in self.store.list()], self.until)
        self.name = next(self.store.list("packs/")).name
        self.content = self.store.get(self.name)
        self.thief: Any = server.client("writer")
        self.object = {"Bucket": self.bucket, "Key": f"{self.prefix}/{self.name}"}
        self.version = self.thief.head_object(**self.object)["VersionId"]

    def opened(self, server: S3, profile: str) -> Store:
        return open_store(server.url(self.prefix, profile=profile), credentials_file=server.credentials_file)

    def retention(self, until: datetime, mode: str = "COMPLIANCE") -> dict[str, Any]:
        return {**self.object, "Retention": {"Mode": mode, "RetainUntilDate": until}}


@pytest.fixture
def committed(s3: S3, tmp_path: Path) -> Committed:
    return Committed(s3, tmp_path)


OPEN_TO_ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}],
    }
)
EXPIRE = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
REFUSED: dict[str, Callable[[Committed], object]] = {
    "delete": lambda it: it.thief.delete_object(**it.object),
    "delete the version": lambda it: it.thief.delete_object(**it.object, VersionId=it.version),
    "delete past the lock": lambda it: it.thief.delete_object(
        **it.object, VersionId=it.version, BypassGovernanceRetention=True
    ),
    "shorten the lock": lambda it: it.thief.put_object_retention(**it.retention(it.until - timedelta(days=1))),
    "shorten it by bypass": lambda it: it.thief.put_object_retention(
        **it.retention(it.until - timedelta(days=1)), BypassGovernanceRetention=True
    ),
    "weaken the lock": lambda it: it.thief.put_object_retention(**it.retention(it.until, "GOVERNANCE")),
    "lift the lock": lambda it: it.thief.put_object_retention(**it.object, Retention={}),
    "open the bucket to all": lambda it: it.thief.put_bucket_policy(Bucket=it.bucket, Policy=OPEN_TO_ALL),
    "end versions": lambda it: it.thief.put_bucket_versioning(
        Bucket=it.bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "end locks": lambda it: it.thief.put_object_lock_configuration(
        Bucket=it.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    ),
    "let objects expire": lambda it: it.thief.put_bucket_lifecycle_configuration(
        Bucket=it.bucket, LifecycleConfiguration=EXPIRE
    ),
    "publish the bucket": lambda it: it.thief.put_bucket_acl(Bucket=it.bucket, ACL="public-read"),
    "publish the object": lambda it: it.thief.put_object_acl(**it.object, ACL="public-read"),
    "hold the object": lambda it: it.thief.put_object_legal_hold(**it.object, LegalHold={"Status": "ON"}),
    "tag the object": lambda it: it.thief.put_object_tagging(
        **it.object, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]}
    ),
    "make a bucket": lambda it: it.thief.create_bucket(Bucket="another"),
    "remove the bucket": lambda it: it.thief.delete_bucket(Bucket=it.bucket),
}


def answer_to(attempt: Callable[[Committed], object], committed: Committed) -> str:
    try:
        attempt(committed)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def test_what_is_refused(committed: Committed) -> None:
    answers = {what: answer_to(attempt, committed) for what, attempt in REFUSED.items()}
    assert {what for what, code in answers.items() if code not in ("AccessDenied", "InvalidRequest")} == set()
    answer = committed.thief.delete_objects(
        Bucket=committed.bucket,
        Delete={"Objects": [{"Key": committed.object["Key"], "VersionId": committed.version}]},
    )
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert committed.store.get(committed.name) == committed.content
    assert committed.store.locked_until(committed.name) == committed.until
    assert verify_at_rest([committed.store]).ok


@pytest.mark.parametrize("way", ["put", "copy", "parts"])
def test_an_overwrite_only_adds_a_version_and_is_found(committed: Committed, way: str) -> None:
    thief, target = committed.thief, committed.object
    if way == "put":
        thief.put_object(**target, Body=b"rot")
    elif way == "copy":
        other = {"Bucket": committed.bucket, "Key": f"{committed.prefix}/{next(committed.store.list('lists/')).name}"}
        thief.copy_object(**target, CopySource=other, MetadataDirective="REPLACE")
    else:
        begun = thief.create_multipart_upload(**target)["UploadId"]
        tag = thief.upload_part(**target, UploadId=begun, PartNumber=1, Body=b"rot")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        thief.complete_multipart_upload(**target, UploadId=begun, MultipartUpload=parts)
    assert committed.store.get(committed.name) != committed.content
    report = verify_at_rest([committed.store])
    assert not report.ok
    assert committed.content in [*committed.store.older(committed.name)]
    assert committed.world.restore() == FILES
    kept = thief.get_object_retention(**target, VersionId=committed.version)["Retention"]
    assert kept["RetainUntilDate"] == committed.until


def test_a_lock_goes_to_the_genuine_version_behind_an_overwrite(committed: Committed) -> None:
    committed.thief.put_object(**committed.object, Body=b"rot")
    later = committed.until + timedelta(days=1)
    committed.store.lock([committed.name], later)
    kept = committed.thief.get_object_retention(**committed.object, VersionId=committed.version)["Retention"]
    assert kept["RetainUntilDate"] == later


def test_a_delete_marker_by_someone_with_more_rights_hides_nothing(committed: Committed, s3: S3) -> None:
    admin = s3.client("admin")
    admin.delete_object(**committed.object)
    with pytest.raises(ClientError, match="AccessDenied"):
        admin.delete_object(**committed.object, VersionId=committed.version, BypassGovernanceRetention=True)
    assert not verify_at_rest([committed.store]).ok
    assert committed.content in [*committed.store.older(committed.name)]
    committed.store.lock([committed.name], committed.until + timedelta(days=1))
    committed.store.put(committed.name, committed.content)
    assert verify_at_rest([committed.store]).ok


def test_a_reader_changes_nothing_and_a_pruner_no_lock(committed: Committed, s3: S3) -> None:
    reader, pruner = committed.opened(s3, "reader"), committed.opened(s3, "pruner")
    assert reader.get(committed.name) == committed.content
    assert reader.locked_until(committed.name) == committed.until
    assert reader.keeps_locks
    for attempt in (
        lambda: reader.put("packs/new", b"1"),
        lambda: reader.delete(committed.name),
        lambda: reader.lock([committed.name], committed.until + timedelta(days=9)),
        lambda: pruner.delete(committed.name),
    ):
        with pytest.raises((NotAllowed, RefusedByPolicy)):
            attempt()
    committed.store.put("packs/unlocked", b"1")
    pruner.delete("packs/unlocked")
    pruner.sweep(pruner.now())
    assert [info.name for info in reader.list("packs/")] == [committed.name]
