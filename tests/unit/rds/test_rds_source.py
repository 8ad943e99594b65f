"""An RDS source: one snapshot a request in both regions, whatever RDS answers on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coffer.errors import HeldByAnother, NotAllowed, NotThere, StepFailed, Unreachable, UsageError
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.recovery.cut import take_cut
from coffer.recovery.source_table import parse_source
from coffer.sources.rds import RdsAddress, RdsSource
from coffer.sources.rds.snapshots import snapshot_id
from coffer.vault.capture import Fact, Kind
from coffer.vault.creation import create_vault
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store
from coffer.vault.writer import VaultWriter
from tests.unit.rds.moto_cloud import AWAY, HOME, LOST, Cloud, refused


class _Sink:
    def __init__(self) -> None:
        self.files: dict[bytes, bytes] = {}

    def add_file(self, entry: Any, blocks: Any, **_: object) -> None:
        self.files[entry.path] = b"".join(blocks)


def _capture(cloud: Cloud, request: str = "r1", sink: _Sink | None = None) -> Mapping[str, Fact]:
    source = RdsSource("rds", cloud.address, open_region=cloud.open)
    source.for_request(request)
    return source.capture(sink or _Sink(), Kind.FULL, None)  # type: ignore[arg-type]


def _snapshots(cloud: Cloud, region: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.regions[region].client.client.describe_db_snapshots()["DBSnapshots"]
    return [each for each in found if each["SnapshotType"] == "manual"]


def test_a_point_records_the_snapshots_of_both_regions(cloud: Cloud, tmp_path: Path) -> None:
    stores = [open_store(f"file://{tmp_path / 'store'}")]
    generate_identity(tmp_path / "identity")
    create_vault(stores, [Recipient.load(tmp_path / "identity.pub")], tmp_path / "writer")
    writer = VaultWriter.open(stores, WriterCredentials.load(tmp_path / "writer"))
    source = RdsSource("rds", cloud.address, open_region=cloud.open)
    for _ in range(2):
        with writer.begin_point(
            service="creditai", kind=Kind.FULL, started=datetime.now(UTC), point_id_seed="monday"
        ) as builder:
            cut = take_cut(writer, builder, [source], "creditai", report=lambda _: None, say=lambda _: None)
            point = builder.commit(cut)
    reader = VaultReader.open(stores, Identity.load(tmp_path / "identity"))
    facts = reader.facts(point, "rds")
    snapshots = facts["snapshots"]
    assert isinstance(snapshots, list)
    assert [each["region"] for each in snapshots if isinstance(each, dict)] == [HOME, AWAY]
    for region in (HOME, AWAY):
        (snapshot,) = _snapshots(cloud, region)
        assert snapshot["DBSnapshotArn"] in str(snapshots)
    reader.restore(point, "rds", tmp_path / "back")
    described = json.loads((tmp_path / "back" / "instance.json").read_text())
    assert described["DBInstanceClass"] == "db.t4g.medium"
    assert "of moto's only" not in json.dumps(described)


def test_the_copy_is_encrypted_by_the_other_regions_key_and_tagged(cloud: Cloud) -> None:
    _capture(cloud)
    (copy,) = _snapshots(cloud, AWAY)
    assert copy["KmsKeyId"] == cloud.key
    tags = {tag["Key"]: tag["Value"] for tag in copy["TagList"]}
    assert (tags["coffer:request"], tags["coffer:instance"], tags["service"]) == ("r1", "prod", "creditai")


def test_the_same_request_finds_its_snapshots_and_another_makes_new_ones(cloud: Cloud) -> None:
    first, again, other = _capture(cloud), _capture(cloud), _capture(cloud, "r2")
    assert first["snapshots"] == again["snapshots"] != other["snapshots"]
    assert [len(_snapshots(cloud, region)) for region in (HOME, AWAY)] == [2, 2]


@pytest.mark.parametrize(
    ("region", "operation"),
    [
        (HOME, "describe_db_instances"),
        (HOME, "create_db_snapshot"),
        (HOME, "describe_db_snapshots"),
        (AWAY, "copy_db_snapshot"),
        (AWAY, "describe_db_snapshots"),
    ],
)
class TestEveryCall:
    def test_throttling_and_server_errors_are_asked_again(self, cloud: Cloud, region: str, operation: str) -> None:
        cloud.fail(region, operation, refused("Throttling"), refused("InternalFailure", 500), refused("Odd", 503))
        assert len(_capture(cloud)["snapshots"]) == 2  # type: ignore[arg-type]

    def test_an_answer_lost_on_the_way_makes_nothing_twice(self, cloud: Cloud, region: str, operation: str) -> None:
        cloud.fail(region, operation, LOST)
        assert len(_capture(cloud)["snapshots"]) == 2  # type: ignore[arg-type]
        assert [len(_snapshots(cloud, each)) for each in (HOME, AWAY)] == [1, 1]

    def test_a_refusal_is_told_and_not_asked_again(self, cloud: Cloud, region: str, operation: str) -> None:
        cloud.fail(region, operation, refused("AccessDenied", 403))
        with pytest.raises(NotAllowed, match=operation):
            _capture(cloud)

    def test_a_service_that_stays_away_is_unreachable(self, cloud: Cloud, region: str, operation: str) -> None:
        cloud.fail(region, operation, *[LOST] * 9)
        if operation in ("create_db_snapshot", "copy_db_snapshot"):
            _capture(cloud)  # the second attempt is told that it is there
            return
        with pytest.raises(Unreachable):
            _capture(cloud)


@pytest.mark.parametrize(
    ("region", "operation", "code"),
    [(HOME, "create_db_snapshot", "InvalidDBInstanceState"), (AWAY, "copy_db_snapshot", "InvalidDBSnapshotState")],
)
def test_what_is_busy_is_waited_for_until_the_deadline(cloud: Cloud, region: str, operation: str, code: str) -> None:
    cloud.fail(region, operation, refused(code), refused(code))
    _capture(cloud)
    assert cloud.now == 30
    cloud.fail(region, operation, *[refused(code)] * 99)
    with pytest.raises(StepFailed, match=r"busy|yet"):
        _capture(cloud, "r2")


def test_a_snapshot_is_waited_for_until_it_is_complete(cloud: Cloud) -> None:
    source = RdsSource("rds", cloud.address, open_region=cloud.open)
    source.for_request("r1")
    name = snapshot_id("prod", "r1")
    cloud.regions[HOME].client.client.create_db_snapshot(
        DBSnapshotIdentifier=name, DBInstanceIdentifier="prod", Tags=[{"Key": "coffer:request", "Value": "r1"}]
    )
    snapshot = cloud.backend(HOME).database_snapshots[name]
    snapshot.status = "creating"
    cloud.on_sleep = [lambda: None, lambda: setattr(snapshot, "status", "available")]
    source.capture(_Sink(), Kind.FULL, None)  # type: ignore[arg-type]
    assert cloud.now == 30
    snapshot.status = "failed"
    with pytest.raises(StepFailed, match="failed"):
        _capture(cloud)


def test_a_snapshot_that_is_not_listed_yet_is_waited_for(cloud: Cloud) -> None:
    cloud.fail(HOME, "describe_db_snapshots", refused("DBSnapshotNotFound", 404))
    _capture(cloud)
    assert cloud.now == 15


def test_somebody_elses_snapshot_of_that_name_stops_it(cloud: Cloud) -> None:
    cloud.regions[HOME].client.client.create_db_snapshot(
        DBSnapshotIdentifier=snapshot_id("prod", "r1"), DBInstanceIdentifier="prod"
    )
    with pytest.raises(HeldByAnother):
        _capture(cloud)


def test_an_encrypted_snapshot_is_not_copied_without_a_key(cloud: Cloud) -> None:
    cloud.address = RdsAddress("prod", HOME, AWAY)
    with pytest.raises(UsageError, match="copy_key"):
        _capture(cloud)
    assert _snapshots(cloud, AWAY) == []


def test_an_instance_that_is_not_there_is_named(cloud: Cloud) -> None:
    cloud.address = RdsAddress("gone", HOME)
    with pytest.raises(NotThere, match="gone"):
        _capture(cloud)


def test_addresses_are_read_and_wrong_ones_refused() -> None:
    source = parse_source("rds:prod?region=eu-central-1&copy_region=eu-west-1&copy_key=alias/coffer")
    assert isinstance(source, RdsSource)
    assert source.address == RdsAddress("prod", "eu-central-1", "eu-west-1", "alias/coffer")
    for wrong in (
        "prod",
        "?region=eu-central-1",
        "prod?region=nowhere",
        "prod?region=eu-central-1&speed=fast",
        "prod?region=eu-central-1&copy_region=eu-central-1",
        "prod?region=eu-central-1&copy_key=alias/x",
        "pr--od?region=eu-central-1",
    ):
        with pytest.raises(UsageError):
            RdsAddress.parse(wrong)
