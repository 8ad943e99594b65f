"""An RDS instance in a point: the snapshot stays with AWS; the point remembers where, and how to build it again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from coffer.sources.rds.address import RdsAddress
from coffer.sources.rds.client import RdsRegion, tags_of
from coffer.sources.rds.snapshots import Snapshot, copy_snapshot, make_snapshot
from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink

DESCRIPTION = b"instance.json"
_AWS_TAGS = "aws:"  # theirs alone: RDS refuses them from anybody else
# What a restored instance has to be told again, and what tells one instance from another.
_KEPT = (
    "DBInstanceIdentifier",
    "DBInstanceArn",
    "DbiResourceId",
    "DBInstanceClass",
    "Engine",
    "EngineVersion",
    "AllocatedStorage",
    "MaxAllocatedStorage",
    "StorageType",
    "Iops",
    "StorageThroughput",
    "StorageEncrypted",
    "KmsKeyId",
    "MultiAZ",
    "AvailabilityZone",
    "DBSubnetGroup",
    "VpcSecurityGroups",
    "DBParameterGroups",
    "OptionGroupMemberships",
    "MasterUsername",
    "Endpoint",
    "PubliclyAccessible",
    "IAMDatabaseAuthenticationEnabled",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "DeletionProtection",
    "EnabledCloudwatchLogsExports",
    "LatestRestorableTime",
    "TagList",
)
Opener = Callable[..., RdsRegion]


class RdsSource:
    """An RDS instance.

    Args:
        name: Name inside the point.
        address: Which instance, and where copies go.
        open_region: Makes the client of a region.
    """

    kind = "rds"

    def __init__(self, name: str, address: RdsAddress, *, open_region: Opener = RdsRegion.open) -> None:
        self.name = name
        self.address = address
        self._open = open_region
        self._request = ""

    def for_request(self, request: str) -> None:
        """Name the request that the next capture serves: the same one finds the snapshot it already made."""
        self._request = request

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Have a snapshot made and copied, wait until both are complete, and push the instance's description.

        Raises:
            NotThere: There is no such instance.
            NotAllowed: The role may not.
            StepFailed: RDS could not make it, or took too long.
        """
        address, request = self.address, self._request or secrets.token_hex(16)
        home = self._region(address.region)
        instance = describe_instance(home, address.instance)
        tags = {key: value for key, value in tags_of(instance).items() if not key.startswith((_AWS_TAGS, "coffer:"))}
        made = [make_snapshot(home, address.instance, request, tags)]
        if address.copy_region:
            away = self._region(address.copy_region)
            made.append(copy_snapshot(made[0], away, address.instance, request, tags, address.copy_key))
        kept = {key: instance[key] for key in _KEPT if key in instance}
        text = json.dumps(kept, indent=1, sort_keys=True, default=_text) + "\n"
        sink.add_file(Entry(DESCRIPTION, mode=0o600), [text.encode()])
        snapshots: list[Fact] = [_fact(each) for each in made]
        return {
            "kind": Kind.FULL.value,
            "kind_reason": "RDS keeps increments itself",
            "request": request,
            "instance": address.instance,
            "resource": str(instance.get("DbiResourceId", "")),
            "region": address.region,
            "engine": f"{instance['Engine']} {instance['EngineVersion']}",
            "multi_az": bool(instance.get("MultiAZ")),
            "stopped": made[0].created,
            "snapshots": snapshots,
        }

    def _region(self, region: str) -> RdsRegion:
        return self._open(region, profile=self.address.profile, endpoint=self.address.endpoint)


def describe_instance(rds: RdsRegion, instance: str) -> dict[str, Any]:
    """Return what RDS says of an instance.

    Raises:
        NotThere: There is none of that name.
    """
    (found,) = rds.ask("describe_db_instances", DBInstanceIdentifier=instance)["DBInstances"]
    return dict(found)


def _fact(snapshot: Snapshot) -> Fact:
    return {"region": snapshot.region, "arn": snapshot.arn, "id": snapshot.id, "key": snapshot.key}


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
