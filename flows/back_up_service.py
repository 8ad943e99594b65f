"""Take a recovery point: capture → encrypt → replicate → verify → record."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from coffer import environments
from tasks import ledger, recovery_points, replication, verification


@flow(name="backup", flow_run_name="{environment}-{kind}")
def back_up_service(
    environment: str, kind: Literal["auto", "full", "incremental", "differential"] = "auto"
) -> recovery_points.TakenPoint:
    """Take a recovery point of a service and prove it in every region.

    Args:
        environment: Name of the environment, as its file in deployments/environments is called.
        kind: What to compare with: auto is incremental where an earlier point is, else full.
    """
    environments.load(environment)
    point = recovery_points.take(environment, kind, "schedule")
    replication.level(environment)
    verification.check_at_rest(environment)
    replication.ask_for_read_back(environment, point.name)
    ledger.record(environment, "point.taken", point.name, {"kind": point.kind, "stores": list(point.stores)})
    return point
