"""Snapshots made once for each request, however often they are asked for, and their copies in another region."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coffer.errors import CofferError, HeldByAnother, NotThere, StepFailed, UsageError
from coffer.sources.rds.client import RdsRegion, code_of, tag_list, tags_of

REQUEST_TAG = "coffer:request"
INSTANCE_TAG = "coffer:instance"
_EXISTS = "DBSnapshotAlreadyExists"
_BUSY = ("InvalidDBInstanceState", "InvalidDBSnapshotState")
_LONGEST_ID = 200


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that is complete.

    Attributes:
        id: Its identifier.
        arn: Its full name.
        region: Where it is.
        key: KMS key that encrypts it; empty where none does.
        created: Time, ISO 8601; empty where RDS does not tell.
    """

    id: str
    arn: str
    region: str
    key: str
    created: str

    @classmethod
    def of(cls, item: Mapping[str, Any], region: str) -> Snapshot:
        """Read what RDS describes."""
        made = item.get("SnapshotCreateTime")
        key = str(item.get("KmsKeyId") or "") if item.get("Encrypted") else ""
        return cls(item["DBSnapshotIdentifier"], item["DBSnapshotArn"], region, key, made.isoformat() if made else "")


def snapshot_id(instance: str, request: str) -> str:
    """Return the identifier of a request's snapshot: the same request finds the same one."""
    digest = hashlib.sha256(f"{instance}\0{request}".encode()).hexdigest()[:24]
    return f"coffer-{instance.lower()[:_LONGEST_ID]}-{digest}"


def make_snapshot(rds: RdsRegion, instance: str, request: str, tags: Mapping[str, str]) -> Snapshot:
    """Have a snapshot of an instance made, or find the one that this request made, and wait until it is complete.

    Args:
        rds: The instance's region.
        instance: Its identifier.
        request: Id of the request.
        tags: Tags beside Coffer's own.

    Raises:
        NotThere: There is no such instance.
        HeldByAnother: A snapshot of that name belongs to somebody else.
        StepFailed: It failed, or took too long.
    """
    name = snapshot_id(instance, request)
    ours = {**tags, REQUEST_TAG: request, INSTANCE_TAG: instance}

    def begin() -> bool | None:
        return _begun(
            rds,
            "create_db_snapshot",
            DBSnapshotIdentifier=name,
            DBInstanceIdentifier=instance,
            Tags=tag_list(ours),
        )

    rds.wait(f"{instance} is busy: its snapshot", begin)
    return _complete(rds, name, request)


def copy_snapshot(
    source: Snapshot, to: RdsRegion, instance: str, request: str, tags: Mapping[str, str], key: str | None
) -> Snapshot:
    """Copy a snapshot to another region, or find the copy that this request made, and wait until it is complete.

    Args:
        source: What to copy; complete.
        to: The other region.
        instance: Whose snapshot it is.
        request: Id of the request.
        tags: Tags beside Coffer's own.
        key: KMS key of the other region: keys do not leave theirs.

    Raises:
        UsageError: The snapshot is encrypted and no key was named.
        HeldByAnother: A snapshot of that name belongs to somebody else.
        StepFailed: It failed, or took too long.
    """
    if source.key and not key:
        raise UsageError(
            "An encrypted snapshot needs a key of the region it is copied to",
            detail=f"{source.id} to {to.region}",
            resolution="Add copy_key=KEY",
        )
    ours = {**tags, REQUEST_TAG: request, INSTANCE_TAG: instance}

    def begin() -> bool | None:
        return _begun(
            to,
            "copy_db_snapshot",
            SourceDBSnapshotIdentifier=source.arn,
            TargetDBSnapshotIdentifier=source.id,
            SourceRegion=source.region,
            KmsKeyId=key,
            Tags=tag_list(ours),
        )

    to.wait(f"{source.id} cannot be copied yet: its copy", begin)
    return _complete(to, source.id, request)


def own_snapshots(rds: RdsRegion, instance: str) -> list[dict[str, Any]]:
    """Return the complete manual snapshots of an instance that Coffer made in a region, as RDS describes them."""
    found = rds.pages("describe_db_snapshots", "DBSnapshots", SnapshotType="manual")
    return [each for each in found if tags_of(each).get(INSTANCE_TAG) == instance and each["Status"] == "available"]


def _begun(rds: RdsRegion, operation: str, **arguments: object) -> bool | None:
    """Ask for a snapshot; True when it is begun or was before, None while RDS is busy.

    An answer that is lost on the way leaves a snapshot behind: asked again, RDS says that it exists.
    """
    try:
        rds.ask(operation, **arguments)
    except CofferError as error:
        code = code_of(error)
        if code == _EXISTS:
            return True
        if code in _BUSY:
            return None
        raise
    return True


def _complete(rds: RdsRegion, name: str, request: str) -> Snapshot:
    def look() -> Snapshot | None:
        try:
            (item,) = rds.ask("describe_db_snapshots", DBSnapshotIdentifier=name)["DBSnapshots"]
        except NotThere:
            return None  # RDS's lists come a little later than its answers
        if tags_of(item).get(REQUEST_TAG) != request:
            raise HeldByAnother("A snapshot of that name is not this request's", detail=f"{name} in {rds.region}")
        status = item["Status"]
        if status == "available":
            return Snapshot.of(item, rds.region)
        if status not in ("creating", "copying", "pending"):
            raise StepFailed("RDS could not make a snapshot", detail=f"{name} in {rds.region} is {status}")
        return None

    return rds.wait(f"snapshot {name}", look)
