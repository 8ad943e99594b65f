"""Release one image: build → scan → test → back up → stage → approve → migrate → switch → soak → record."""

from __future__ import annotations

from prefect import flow
from prefect.states import Completed, State

from coffer import environments
from coffer.release.images import ImageReference
from coffer.release.plan import ReleasePlan
from tasks import approvals, evidence, images, ledger, planning, recovery_points, requests, rollout, staging


@flow(name="release", flow_run_name="{environment}")
def release_service(
    environment: str,
    image: str | None = None,
    source: str | None = None,
    build_arguments: dict[str, str] | None = None,
    tag: str = "",
    requester: str = "",
    attempt: int = 1,
) -> ledger.ReleaseRecord | State:
    """Release a service to an environment; what has to come first comes first, and any failure goes back by itself.

    Args:
        environment: Name of the environment, as its file in deployments/environments is called.
        image: The image by digest: REPOSITORY@sha256:… (a tag is refused).
        source: Or the folder to build it from.
        build_arguments: Arguments of that build.
        tag: Tag of the push that asks for this; the environment's on-push decides whether it starts anything.
        requester: Who asks; may not approve where the environment says so.
        attempt: Raise it to release a digest again after it was rolled back.
    """
    request = requests.read(environment, image, source, tag, requester, attempt)
    if reason := requests.starts_nothing(request) or requests.carried_by(request):
        return Completed(message=reason)
    candidate = (
        images.build(environment, str(request.source), build_arguments or {})
        if request.source
        else images.confirm(environment, str(request.image))
    )
    point_before_plan = recovery_points.begin_before_plan(environment)
    proof = evidence.gather(environment, candidate, request.source)
    if before := environments.load(environment).release.after:
        staging.deploy(request, before, candidate, proof)
    plan = _plan(request, candidate, proof, point_before_plan())
    if not plan.steps:
        return Completed(message=f"nothing to do: {plan.nothing_to_do}")
    approvals.wait_for(plan)
    recovery_points.before_expand(environment)
    outcomes = rollout.carry_out(plan)
    return ledger.record_release(plan, outcomes)


def _plan(
    request: requests.ReleaseRequest,
    candidate: ImageReference,
    proof: evidence.Evidence,
    point: recovery_points.TakenPoint | None,
) -> ReleasePlan:
    release_id = request.release_id(candidate)
    text = planning.release(request.environment, release_id, request.requester, candidate, proof, point)
    return ReleasePlan.from_json(text)
