"""Multi-AZ failover: the standby takes over; done when the zone has changed and the database answers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coffer.errors import CofferError, StepFailed, UsageError
from coffer.recovery.rds import wait_available
from coffer.sources.rds.client import RdsRegion, code_of
from coffer.sources.rds.source import describe_instance

Answers = Callable[[str, int], bool]
_BUSY = "InvalidDBInstanceState"
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Failover:
    """What a failover did.

    Attributes:
        before: Zone of the primary when it was asked for.
        after: Zone now.
        seconds: From the request to the first answer; 0 if it had happened before.
    """

    before: str
    after: str
    seconds: float


def fail_over(rds: RdsRegion, instance: str, *, away_from: str = "", answers: Answers | None = None) -> Failover:
    """Reboot an instance with failover and wait until it runs in another zone and answers.

    Args:
        rds: Its region.
        instance: Its identifier.
        away_from: Zone to leave. Where the instance is elsewhere already, nothing is done: so it may be asked for
            again after an answer was lost. Default: the zone it is in, which always fails over.
        answers: Tells whether the database at a host and port answers. Default: it takes a TCP connection.

    Raises:
        UsageError: It has no standby.
        NotThere: There is no such instance.
        StepFailed: It took too long; RDS says that it does not need to change zones, or has stopped.
    """
    answers = answers or takes_connections
    before = describe_instance(rds, instance)
    if not before.get("MultiAZ"):
        raise UsageError(f"{instance} has no standby in another zone", resolution="Make it Multi-AZ first")
    zone = away_from or before["AvailabilityZone"]
    began = rds.patience.clock()
    if before["AvailabilityZone"] != zone:
        return Failover(zone, _settled(rds, instance, zone, answers)["AvailabilityZone"], 0.0)

    def reboot() -> bool | None:
        try:
            rds.ask("reboot_db_instance", DBInstanceIdentifier=instance, ForceFailover=True)
        except CofferError as error:
            if code_of(error) != _BUSY:
                raise
            # Busy with the very failover whose answer was lost, or with something else.
            return True if describe_instance(rds, instance)["AvailabilityZone"] != zone else None
        return True

    rds.wait(f"{instance} is busy: its failover", reboot)
    after = _settled(rds, instance, zone, answers)["AvailabilityZone"]
    return Failover(zone, after, rds.patience.clock() - began)


def takes_connections(host: str, port: int) -> bool:
    """Tell whether a TCP connection is taken; the name is looked up anew, as a failover moves it."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _settled(rds: RdsRegion, instance: str, zone: str, answers: Answers) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = wait_available(rds, instance)
        endpoint = found["Endpoint"]
        if found["AvailabilityZone"] == zone or not answers(endpoint["Address"], endpoint["Port"]):
            return None
        return found

    try:
        return rds.wait(f"failover of {instance} away from {zone}", look)
    except StepFailed as error:
        now = describe_instance(rds, instance)
        raise StepFailed(
            error.summary,
            detail=f"it is {now['DBInstanceStatus']} in {now['AvailabilityZone']}; {error.detail}",
        ) from error
