"""The store identities' AWS policies, as moto evaluates them (actions and resources; it looks at no conditions)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from coffer.errors import NotAllowed, RefusedByPolicy
from coffer.vault.capture import Kind
from coffer.vault.stores import Store, open_store
from tests.unit.vault.making import Tree, World

POLICIES = Path(__file__).parents[3] / "deployments/stores/s3"
REGION = "eu-west-1"
ROLES = ("writer", "reader", "pruner")


class Aws:
    """A bucket with Object Lock and three users, each with its policy and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.credentials = folder / "aws"
        where = {"LocationConstraint": REGION}
        s3, iam = boto3.client("s3", REGION), boto3.client("iam", REGION)
        s3.create_bucket(Bucket="the-bucket", ObjectLockEnabledForBucket=True, CreateBucketConfiguration=where)
        lines = []
        for role in ROLES:
            iam.create_user(UserName=role)
            text = (POLICIES / f"{role}.json").read_text().replace("BUCKET", "the-bucket").replace("PREFIX", "vault")
            iam.put_user_policy(UserName=role, PolicyName=role, PolicyDocument=text)
            key = iam.create_access_key(UserName=role)["AccessKey"]
            lines += [f"[{role}]", f"aws_access_key_id = {key['AccessKeyId']}"]
            lines += [f"aws_secret_access_key = {key['SecretAccessKey']}"]
        self.credentials.write_text("\n".join(lines))

    def opened(self, role: str, prefix: str = "vault") -> Store:
        return open_store(f"s3://the-bucket/{prefix}?region={REGION}&profile={role}", credentials_file=self.credentials)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    with mock_aws():
        yield Aws(tmp_path)


@set_initial_no_auth_action_count(0)
def test_each_role_can_do_its_work_and_no_more(aws: Aws, tmp_path: Path) -> None:
    writer, reader, pruner = (aws.opened(role) for role in ROLES)
    world = World(tmp_path, [writer])
    files = {b"a": b"kept" * 50_000}
    world.back_up(Tree(files), kind=Kind.FULL)
    packs = [info.name for info in writer.list("packs/")]
    until = writer.now().replace(microsecond=0) + timedelta(days=1)
    writer.lock(packs, until)
    assert world.restore(stores=[reader]) == files
    assert reader.locked_until(packs[0]) == until
    with pytest.raises(RefusedByPolicy):
        writer.delete(packs[0])
    with pytest.raises(NotAllowed):
        aws.opened("writer", "another").put("packs/a", b"1")
    with pytest.raises(NotAllowed):
        reader.put("packs/a", b"1")
    with pytest.raises(NotAllowed):
        reader.lock(packs, until + timedelta(days=1))
    writer.put("packs/unlocked", b"1")
    pruner.delete("packs/unlocked")
    pruner.sweep(pruner.now())
    with pytest.raises(RefusedByPolicy):
        pruner.delete(packs[0])
    assert [info.name for info in reader.list("packs/")] == packs
