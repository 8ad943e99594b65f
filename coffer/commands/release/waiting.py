"""The plan that a suspended run wants a word on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coffer.errors import ApprovalError, IntegrityError, UsageError
from coffer.prefect_api import FlowRun, PrefectApi
from coffer.release.plan import ReleasePlan


@dataclass(frozen=True)
class WaitingPlan:
    """What is asked for.

    Attributes:
        run: The run that waits.
        hash: SHA-256 of the plan: what is signed.
        environment: Where it would be carried out.
        expires: When an approval comes too late; None if the flow does not say.
        plan: The plan itself, if the flow left it.
    """

    run: FlowRun
    hash: str
    environment: str
    expires: datetime | None
    plan: ReleasePlan | None


def find(api: PrefectApi, run_id: str, environment: str) -> WaitingPlan:
    """Return the plan of a waiting run.

    Args:
        api: Where it waits.
        run_id: The run; empty: the only one that waits for this environment.
        environment: Its environment; empty: whatever the run says.

    Raises:
        UsageError: Neither is given, several wait, or the run is about another environment.
        ApprovalError: Nothing waits, it left no plan, or its time is over.
        IntegrityError: The plan is not what its hash says.
    """
    run = api.run(run_id) if run_id else _only(api, environment)
    if not run.waiting:
        raise ApprovalError(f"run {run.name} waits for nobody", detail=f"it is {run.state}")
    content = _artifact(api, run)
    found = WaitingPlan(
        run,
        str(content.get("plan_hash") or ""),
        str(content.get("environment") or ""),
        _moment(content.get("expires")),
        _plan(content.get("plan")),
    )
    if environment and environment != found.environment:
        raise UsageError(f"run {run.name} is about {found.environment}, not {environment}")
    if found.plan is not None and (found.plan.hash, found.plan.environment) != (found.hash, found.environment):
        raise IntegrityError(f"the plan of run {run.name} is not what its hash says", resolution="Do not approve it")
    if not found.hash or not found.environment:
        raise ApprovalError(f"run {run.name} left no plan to approve")
    return found


def _only(api: PrefectApi, environment: str) -> FlowRun:
    if not environment:
        raise UsageError("which run?", resolution="Name the RUN, or --environment ENV")
    found = api.runs(flow="release", types=["PAUSED"], parameters={"environment": environment})
    if not found:
        raise ApprovalError(f"no release of {environment} waits for approval")
    if len(found) > 1:
        raise UsageError(f"{len(found)} releases of {environment} wait", detail=", ".join(run.id for run in found))
    return found[0]


def _artifact(api: PrefectApi, run: FlowRun) -> dict[str, Any]:
    found = api.artifacts(run.id, key="coffer-plan-%")
    if not found:
        raise ApprovalError(f"run {run.name} left no plan to approve", detail="it has no artifact coffer-plan-…")
    data = found[0].get("data")
    try:
        content = json.loads(data) if isinstance(data, str) else data
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ApprovalError(f"the plan of run {run.name} cannot be read")
    return content


def _moment(text: object) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plan(content: object) -> ReleasePlan | None:
    if not content:
        return None
    return ReleasePlan.from_json(content if isinstance(content, str) else json.dumps(content))
