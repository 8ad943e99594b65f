"""The environment that comes first: the same plan, the same steps, its own gate of health checks."""

from __future__ import annotations

from prefect import task
from prefect.tasks import Task

from coffer.release.images import ImageReference
from coffer.release.plan import ReleasePlan
from tasks import approvals, planning, rollout
from tasks.evidence import Evidence
from tasks.policies import within_this_run
from tasks.requests import ReleaseRequest


def deploy(request: ReleaseRequest, environment: str, image: ImageReference, proof: Evidence) -> None:
    """Deploy to the environment that must pass first, and only once in a run.

    Raises:
        StepFailed: It did not pass; it was taken back there, and the release ends.
    """
    release_id = request.release_id(image)
    text = planning.release(environment, release_id, request.requester, image, proof, None)
    plan = ReleasePlan.from_json(text)
    if plan.steps:
        approvals.wait_for(plan)
        _carry_out(plan, plan.hash)


def _carried_out(plan: ReleasePlan, plan_hash: str) -> str:
    rollout.carry_out(plan)
    return plan_hash


# Remembered as a whole: a run that waited days for approval must not touch staging again when it goes on.
_carry_out: Task[..., str] = task(name="deploy first", persist_result=True, cache_key_fn=within_this_run)(_carried_out)
