"""A recipient comes and another goes, in a bucket with versions and Object Lock: by VersionId, no data moved."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from coffer.errors import WrongKey
from coffer.keys import Identity, Recipient, generate_identity
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.reader import VaultReader
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores import open_store
from coffer.vault.verification import verify_at_rest
from tests.services.s3 import S3
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

OLD = {b"old": os.urandom(300_000)}
NEW = {b"new": os.urandom(300_000)}


def versions(server: S3, prefix: str) -> dict[str, set[str]]:
    """Names and VersionIds of everything but keys and configurations, delete markers too."""
    client, found = server.client("admin"), {}
    pages = client.get_paginator("list_object_versions").paginate(Bucket=server.bucket, Prefix=f"{prefix}/")
    for page in pages:
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            name = each["Key"].removeprefix(f"{prefix}/")
            if name.split("/")[0] not in ("keys", "config"):
                found.setdefault(name, set()).add(each["VersionId"])
    return found


@pytest.mark.parametrize("locked", [False, True])
def test_b_comes_and_a_goes(s3: S3, tmp_path: Path, locked: bool) -> None:
    prefix = f"rotation-{secrets.token_hex(4)}"
    store = open_store(s3.url(prefix), credentials_file=s3.credentials_file)
    world = World(tmp_path, [store])
    admin = [open_store(s3.url(prefix, profile="admin"), credentials_file=s3.credentials_file)]
    if locked:
        VaultAdministration(admin, world.identity).set_retention(RetentionPolicy(keep_days=1))
    world.back_up(Tree(OLD), kind=Kind.FULL)
    world.writer().put_wal(CLUSTER, SEGMENT, b"old wal")
    a, before = world.identity, versions(s3, prefix)
    generate_identity(tmp_path / "b")
    VaultAdministration(admin, a).add_recipient(Recipient.load(tmp_path / "b.pub"))
    b = Identity.load(tmp_path / "b")
    change = VaultAdministration(admin, b).remove_recipient("id")
    assert versions(s3, prefix) == before
    assert bool(change.left) is locked  # under a lock the old wraps stay, and that is said

    point = world.back_up(Tree(NEW))
    world.writer().put_wal(CLUSTER, SEGMENT[:-1] + "4", b"new wal")
    after = versions(s3, prefix)
    assert {name: after[name] for name in before} == before
    with pytest.raises(WrongKey):
        VaultReader.open([store], a)
    reader = VaultReader.open([store], b)
    assert reader.read_file(reader.points()[0], "files", b"old") == OLD[b"old"]
    assert reader.read_file(point, "files", b"new") == NEW[b"new"]
    assert reader.get_wal(CLUSTER, SEGMENT[:-1] + "4") == b"new wal"
    assert reader.verify().ok
    assert verify_at_rest([store]).ok
