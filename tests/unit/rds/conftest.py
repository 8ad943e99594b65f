"""A cloud for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.backends import get_backend

from coffer.sources.rds import RdsAddress
from coffer.sources.rds.client import Patience, RdsRegion
from coffer.vault.stores.retrying import Retries
from tests.unit.rds.moto_cloud import ACCOUNT, AWAY, HOME, Cloud, Faulty


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[dict[str, Any], str]]:
    """Return a client for each region and a key of the other one: slow to make.

    It ends with the module: another test's cloud, made inside this one, would not be empty.
    """
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.delenv("AWS_PROFILE", raising=False)
        key = boto3.client("kms", region_name=AWAY).create_key()["KeyMetadata"]["Arn"]
        yield {region: boto3.client("rds", region_name=region) for region in (HOME, AWAY)}, key


@pytest.fixture
def cloud(clients: tuple[dict[str, Any], str]) -> Cloud:
    real, key = clients
    for region in real:
        get_backend("rds")[ACCOUNT][region].reset()
    made = Cloud(key=key, address=RdsAddress("prod", HOME, AWAY, key))
    patience = Patience(every=15, deadline=600, sleep=made.sleep, clock=lambda: made.now)
    for region, client in real.items():
        made.regions[region] = RdsRegion(region, Faulty(client), Retries(attempts=4, first=0.001), patience)
    real[HOME].create_db_instance(
        DBInstanceIdentifier="prod",
        DBInstanceClass="db.t4g.medium",
        Engine="postgres",
        EngineVersion="15.4",
        MasterUsername="owner",
        MasterUserPassword="of moto's only",
        AllocatedStorage=100,
        MultiAZ=True,
        StorageEncrypted=True,
        BackupRetentionPeriod=30,
        Tags=[{"Key": "service", "Value": "creditai"}],
    )
    return made
