"""Go back to what served before: from what is observed and recorded, without Prefect's memory of the release."""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from coffer import environments
from coffer.release.plan import ReleasePlan
from tasks import ledger, planning, rollout


@flow(name="rollback", flow_run_name="{environment}")
def roll_back_service(environment: str, reason: str, requester: str = "") -> ledger.ReleaseRecord:
    """Switch an environment back to what served before.

    It takes the environment over from a release that is still acting; what that one does next is refused.

    Args:
        environment: Name of the environment.
        reason: Why; it goes into the ledger.
        requester: Who asks.
    """
    environments.load(environment)
    text = planning.rollback(environment, f"rollback-{flow_run.id}", requester or "unnamed", reason)
    plan = ReleasePlan.from_json(text)
    outcomes = rollout.carry_out(plan, takeover=True)
    return ledger.record_release(plan, outcomes)
