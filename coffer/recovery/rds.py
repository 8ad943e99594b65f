"""An RDS instance brought back: to a moment within its window, or from a point's snapshot in either region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coffer.errors import CofferError, NotThere, StepFailed, UnsafeTarget, UsageError
from coffer.sources.rds.client import RdsRegion, code_of, tag_list, tags_of
from coffer.sources.rds.snapshots import REQUEST_TAG
from coffer.sources.rds.source import describe_instance

_EXISTS = ("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault")
_BUSY = ("InvalidDBInstanceState", "InvalidDBSnapshotState")
_FAILED = {
    "failed",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "inaccessible-encryption-credentials",
    "restore-error",
    "insufficient-capacity",
    "storage-full",
}


@dataclass(frozen=True)
class Window:
    """The moments an instance can be brought back to.

    Attributes:
        earliest: The first; None where RDS does not tell.
        latest: The last; RDS keeps it about five minutes behind.
    """

    earliest: datetime | None
    latest: datetime

    def check(self, moment: datetime) -> None:
        """Refuse a moment outside.

        Raises:
            UsageError: It is outside, or has no offset; the window is named.
        """
        if moment.tzinfo is None:
            raise UsageError("a moment needs its offset from UTC", detail=str(moment))
        if moment > self.latest or (self.earliest is not None and moment < self.earliest):
            raise UsageError(
                f"RDS cannot go to {moment.isoformat()}", detail=f"it can go to {self}", resolution="Choose one inside"
            )

    def __str__(self) -> str:
        """Return it for people."""
        earliest = self.earliest.isoformat() if self.earliest else "its first backup"
        return f"any moment from {earliest} to {self.latest.isoformat()}"


@dataclass(frozen=True)
class NewInstance:
    """What a restored instance shall be; what is None is as RDS finds it in the source.

    Attributes:
        name: Its identifier: a new one, nothing is restored over an instance.
        instance_class: Its size.
        subnet_group: Where in the network.
        security_groups: Who may speak to it; without any, RDS gives it the network's default.
        parameter_group: Its settings; without one, the engine's default.
        multi_az: With a standby in another zone.
        tags: Tags beside Coffer's own.
    """

    name: str
    instance_class: str | None = None
    subnet_group: str | None = None
    security_groups: tuple[str, ...] = ()
    parameter_group: str | None = None
    multi_az: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def like(cls, name: str, instance: Mapping[str, Any]) -> NewInstance:
        """Return one as another was, as RDS or a point's `instance.json` describes it."""
        groups = [each["VpcSecurityGroupId"] for each in instance.get("VpcSecurityGroups", [])]
        parameters = [each["DBParameterGroupName"] for each in instance.get("DBParameterGroups", [])]
        subnets = instance.get("DBSubnetGroup") or {}
        return cls(
            name,
            instance.get("DBInstanceClass"),
            subnets.get("DBSubnetGroupName"),
            tuple(groups),
            parameters[0] if parameters else None,
            instance.get("MultiAZ"),
            {key: value for key, value in tags_of(instance).items() if not key.startswith(("aws:", "coffer:"))},
        )

    def arguments(self, request: str) -> dict[str, object]:
        """Return it as RDS's arguments."""
        return {
            "DBInstanceClass": self.instance_class,
            "DBSubnetGroupName": self.subnet_group,
            "VpcSecurityGroupIds": list(self.security_groups) or None,
            "DBParameterGroupName": self.parameter_group,
            "MultiAZ": self.multi_az,
            "Tags": tag_list({**self.tags, REQUEST_TAG: request}),
        }


@dataclass(frozen=True)
class Restored:
    """An instance that takes connections.

    Attributes:
        name: Its identifier.
        arn: Its full name.
        host: Address.
        port: Port.
        zone: Availability zone.
    """

    name: str
    arn: str
    host: str
    port: int
    zone: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Restored:
        """Read what RDS describes."""
        endpoint = item["Endpoint"]
        return cls(
            item["DBInstanceIdentifier"], item["DBInstanceArn"], endpoint["Address"], endpoint["Port"],
            item.get("AvailabilityZone", ""),
        )  # fmt: skip


def restorable_window(rds: RdsRegion, instance: str) -> Window:
    """Return the moments an instance can be brought back to; it may be deleted, if its backups were kept.

    Raises:
        NotThere: There is neither such an instance nor a kept backup of one.
        UsageError: It keeps no backups.
    """
    backups = rds.pages("describe_db_instance_automated_backups", "DBInstanceAutomatedBackups",
                        DBInstanceIdentifier=instance)  # fmt: skip
    windows = [each["RestoreWindow"] for each in backups if each.get("RestoreWindow", {}).get("LatestTime")]
    earliest = min((each["EarliestTime"] for each in windows if each.get("EarliestTime")), default=None)
    latest = max((each["LatestTime"] for each in windows), default=None)
    if latest is None:
        latest = describe_instance(rds, instance).get("LatestRestorableTime")
    if latest is None:
        raise UsageError(f"{instance} keeps no backups", resolution="Set its backup retention to a day or more")
    return Window(earliest, latest)


def restore_to_moment(rds: RdsRegion, instance: str, moment: datetime, new: NewInstance, request: str) -> Restored:
    """Restore an instance to a moment, as another instance, and wait until it takes connections.

    Asked for again with the same request, it goes on where it was.

    Args:
        rds: The instance's region.
        instance: Its identifier.
        moment: With offset.
        new: What the restored one shall be.
        request: Id of the request.

    Raises:
        UsageError: The moment lies outside the window, which is named.
        UnsafeTarget: An instance of that name is there and is not this request's.
        StepFailed: RDS failed, or took too long.
    """
    if (already := _found(rds, new.name, request)) is None:
        restorable_window(rds, instance).check(moment)
    return _restored(
        rds,
        new,
        request,
        already,
        "restore_db_instance_to_point_in_time",
        SourceDBInstanceIdentifier=instance,
        TargetDBInstanceIdentifier=new.name,
        RestoreTime=moment,
    )


def restore_snapshot(rds: RdsRegion, snapshot: str, new: NewInstance, request: str) -> Restored:
    """Restore a snapshot of this region as a new instance and wait until it takes connections.

    Args:
        rds: The region that holds the snapshot: the instance's own, or the one of its copy.
        snapshot: Identifier or full name.
        new: What the restored one shall be; names of groups must exist in this region.
        request: Id of the request.

    Raises:
        NotThere: There is no such snapshot.
        UnsafeTarget: An instance of that name is there and is not this request's.
        StepFailed: RDS failed, or took too long.
    """
    return _restored(
        rds,
        new,
        request,
        _found(rds, new.name, request),
        "restore_db_instance_from_db_snapshot",
        DBSnapshotIdentifier=snapshot,
        DBInstanceIdentifier=new.name,
    )


def wait_available(rds: RdsRegion, name: str) -> dict[str, Any]:
    """Wait until an instance is available and return what RDS says of it.

    Raises:
        StepFailed: It cannot become so, or took too long.
    """

    def look() -> dict[str, Any] | None:
        try:
            found = describe_instance(rds, name)
        except NotThere:
            return None  # RDS's lists come a little later than its answers
        status = found["DBInstanceStatus"]
        if status in _FAILED:
            raise StepFailed(f"{name} is {status}", detail=rds.region)
        return found if status == "available" and found.get("Endpoint") else None

    return rds.wait(f"{name} becoming available", look)


def _restored(
    rds: RdsRegion,
    new: NewInstance,
    request: str,
    already: dict[str, Any] | None,
    operation: str,
    **arguments: object,
) -> Restored:
    def begin() -> bool | None:
        try:
            rds.ask(operation, **arguments, **new.arguments(request))
        except CofferError as error:
            code = code_of(error)
            if code in _BUSY:
                return None
            if code not in _EXISTS:
                raise
            _found(rds, new.name, request)  # a lost answer leaves an instance behind: ours, or we stop
        return True

    if already is None:
        rds.wait(f"{operation} for {new.name}", begin)
    return Restored.of(wait_available(rds, new.name))


def _found(rds: RdsRegion, name: str, request: str) -> dict[str, Any] | None:
    """Return an instance that this request made, or None.

    Raises:
        UnsafeTarget: It is there and somebody else's.
    """
    try:
        item = describe_instance(rds, name)
    except NotThere:
        return None
    if tags_of(item).get(REQUEST_TAG) != request:
        raise UnsafeTarget("An instance of that name is there", detail=f"{name} in {rds.region}",
                           resolution="Restore under another name, then rename")  # fmt: skip
    return item
