"""Object Lock in COMPLIANCE mode, in a real S3 service: what a writer locks, what a prune meets, what a thief can."""

from __future__ import annotations

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from coffer.errors import IntegrityError, RefusedByPolicy
from coffer.keys import PrunerCredentials
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.prune_plan import PrunePlan, PruneReport
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from tests.services.s3 import S3
from tests.unit.vault.making import Tree, World

WINDOW = RetentionPolicy(keep_days=1, require_proof="none")
LAST = RetentionPolicy(require_proof="none")
SOON = RetentionPolicy(require_proof="none", grace_hours=1 / 3600)
FILES = {b"a": os.urandom(200_000)}


class Bucket:
    """A vault below a prefix of its own; its writer's store, and its pruner's."""

    def __init__(self, server: S3, folder: Path, policy: RetentionPolicy) -> None:
        self.server = server
        self.prefix = f"locks-{secrets.token_hex(4)}"
        self.world = World(folder, [self.open("writer")])
        self.sign(policy)

    def sign(self, policy: RetentionPolicy) -> None:
        VaultAdministration(self.world.stores, self.world.identity).set_retention(policy)

    def open(self, who: str) -> Store:
        return open_store(self.server.url(self.prefix, profile=who), credentials_file=self.server.credentials_file)

    def back_up(self, files: dict[bytes, bytes] | None = None) -> Point:
        return self.world.back_up(Tree(FILES if files is None else files), kind=Kind.FULL)

    def plan(self, policy: RetentionPolicy | None = None) -> PrunePlan:
        pruner = PrunerCredentials(self.world.credentials.vault, self.world.credentials.root)
        return plan_prune([self.open("pruner")], pruner, policy)

    def prune(self) -> PruneReport:
        return execute(self.plan(), [self.open("pruner")])

    def needed(self) -> list[str]:
        kinds = ("packs/", "trees/", "index/", "lists/", "points/", "keys/run-")
        return [info.name for info in self.world.stores[0].list() if info.name.startswith(kinds)]

    def raw(self, who: str) -> Any:
        return self.server.client(who)

    def key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.server.bucket, "Key": f"{self.prefix}/{name}"}


def test_everything_a_point_names_is_locked_for_the_window(s3: S3, tmp_path: Path) -> None:
    bucket = Bucket(s3, tmp_path, WINDOW)
    point = bucket.back_up()
    store = bucket.open("admin")
    for name in bucket.needed():
        until = store.locked_until(name)
        assert until
        assert until >= point.started + timedelta(days=1)
        with pytest.raises(RefusedByPolicy):
            store.delete(name)
    assert bucket.world.reader().verify().ok


def test_with_the_writers_credentials_nothing_is_deleted_unlocked_or_shortened(s3: S3, tmp_path: Path) -> None:
    bucket = Bucket(s3, tmp_path, WINDOW)
    bucket.back_up()
    thief = bucket.raw("writer")
    for name in bucket.needed():
        key = bucket.key(name)
        [version] = bucket.raw("admin").list_object_versions(Bucket=key["Bucket"], Prefix=key["Key"])["Versions"]
        shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": bucket.world.now() + timedelta(minutes=1)}
        for attempt in (
            lambda key=key: thief.delete_object(**key),
            lambda key=key, version=version: thief.delete_object(**key, VersionId=version["VersionId"]),
            lambda key=key, shorter=shorter: thief.put_object_retention(**key, Retention=shorter),
            lambda key=key, shorter=shorter: thief.put_object_retention(
                **key, Retention=shorter, BypassGovernanceRetention=True
            ),
        ):
            with pytest.raises(ClientError):
                attempt()
    assert bucket.world.restore() == FILES
    assert verify_at_rest(bucket.world.stores).ok


def test_a_prune_says_what_is_locked_until_when_and_goes_on_with_the_rest(s3: S3, tmp_path: Path) -> None:
    bucket = Bucket(s3, tmp_path, LAST)
    bucket.back_up({b"b": os.urandom(1000)})
    old = bucket.needed()
    bucket.back_up()
    time_to_sweep(bucket)
    held = next(name for name in old if name.startswith("packs/"))
    until = (bucket.world.now() + timedelta(days=1)).replace(microsecond=0)
    bucket.world.stores[0].lock([held], until)
    report = bucket.prune()
    assert [(name, at) for (_, name), at in report.locked.items()] == [(held, until)]
    assert report.objects >= 3
    assert len(report.points) == 1
    assert held in {info.name for info in bucket.world.stores[0].list("packs/")}
    assert bucket.world.restore() == FILES
    assert verify_at_rest(bucket.world.stores).ok


def test_a_point_that_is_locked_is_kept_whole(s3: S3, tmp_path: Path) -> None:
    """The root's window was longer once: what was locked then stays until then."""
    bucket = Bucket(s3, tmp_path, WINDOW)
    bucket.back_up({b"b": os.urandom(1000)})
    bucket.sign(LAST)
    bucket.back_up()
    plan = bucket.plan()
    assert [each.keep for each in plan.verdicts] == [True, True]
    assert plan.verdicts[0].reason.startswith("locked until")
    assert not plan.fresh


def test_what_hides_behind_a_delete_marker_is_found_and_nothing_is_pruned(s3: S3, tmp_path: Path) -> None:
    """Someone with more rights than a writer hides a point and a pack: the bytes are there, locked."""
    bucket = Bucket(s3, tmp_path, WINDOW)
    bucket.back_up()
    store = bucket.world.stores[0]
    manifest, pack = (next(store.list(prefix)).name for prefix in ("points/", "packs/"))
    for name in (manifest, pack):
        bucket.raw("admin").delete_object(**bucket.key(name))
    assert {*store.hidden()} == {manifest, pack}
    problems = {(problem.object, problem.what) for problem in verify_at_rest([store]).problems}
    assert {(manifest, "hidden"), (pack, "hidden")} <= problems
    with pytest.raises(IntegrityError, match="hidden behind a delete marker"):
        bucket.plan()
    for name in (manifest, pack):
        key = bucket.key(name)
        [marker] = bucket.raw("admin").list_object_versions(Bucket=key["Bucket"], Prefix=key["Key"])["DeleteMarkers"]
        bucket.raw("admin").delete_object(**key, VersionId=marker["VersionId"])
    assert verify_at_rest([store]).ok
    assert bucket.world.restore() == FILES


def test_what_is_pruned_leaves_neither_versions_nor_markers(s3: S3, tmp_path: Path) -> None:
    bucket = Bucket(s3, tmp_path, LAST)
    bucket.back_up({b"b": os.urandom(1000)})
    bucket.back_up()
    time_to_sweep(bucket)
    report = bucket.prune()
    assert report.points
    assert not report.locked
    left = bucket.raw("admin").list_object_versions(Bucket=s3.bucket, Prefix=f"{bucket.prefix}/")
    assert "DeleteMarkers" not in left
    assert len(left["Versions"]) == len([*bucket.world.stores[0].list()])
    assert not [*bucket.world.stores[0].hidden()]


def time_to_sweep(bucket: Bucket) -> None:
    """Mark, and wait until the store's own clock says that the mark is ripe; no writer is at work that needs longer."""
    bucket.sign(SOON)
    bucket.prune()
    deadline = time.monotonic() + 30
    while not bucket.plan().sweep:
        assert time.monotonic() < deadline, bucket.plan().waiting
        time.sleep(0.2)
