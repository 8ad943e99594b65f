"""Looking and planning: facts in, a plan out that people can read and sign."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import get_run_logger

from coffer import environments
from coffer.environments import facts
from coffer.release.images import ImageReference
from coffer.release.observed import ObservedService
from coffer.release.plan import RecoveryPoint, ReleasePlan, RollbackProof
from coffer.release.planner import PlanFacts, plan_release
from coffer.release.rollback import plan_rollback
from coffer.targets.registry import Registry, address_of
from tasks import artifacts, hosts
from tasks.evidence import Evidence
from tasks.policies import remembered
from tasks.recovery_points import TakenPoint
from tasks.targets import open_target


@remembered("plan release")
def release(
    environment: str,
    release_id: str,
    requester: str,
    image: ImageReference,
    evidence: Evidence,
    point: TakenPoint | None,
) -> str:
    """Look at an environment and plan the release of an image to it; returns the plan as JSON.

    A resumed run finds this plan again and never makes another: what was approved is what is carried out.

    Raises:
        RefusedByPolicy: The gate said no, or a migration contracts.
    """
    settings = environments.load(environment)
    target, service = open_target(settings), facts.service_spec(settings)
    observed = target.observe(service)
    plan = plan_release(
        observed,
        PlanFacts(
            release=release_id,
            service=service,
            image=image,
            requested_by=requester,
            verdict=evidence.verdict,
            sbom=evidence.sbom,
            migrations=target.migrations_in(service, image),
            recovery_point=RecoveryPoint(point.name, point.finished.isoformat()) if point else None,
            rollback_proof=_rollback_proof(settings, observed),
        ),
        facts.rollout_policy(settings),
    )
    _show(plan)
    return plan.to_json()


@remembered("plan rollback")
def rollback(environment: str, release_id: str, requester: str, reason: str) -> str:
    """Look at an environment and plan the way back to what served before; returns the plan as JSON.

    Raises:
        RefusedByPolicy: There is nothing to go back to.
    """
    settings = environments.load(environment)
    target = open_target(settings)
    service = facts.service_spec(settings)
    plan = plan_rollback(
        target.observe(service),
        service,
        facts.rollout_policy(settings),
        release=release_id,
        requested_by=requester,
        reason=reason,
    )
    _show(plan)
    return plan.to_json()


def _rollback_proof(settings: environments.Environment, observed: ObservedService) -> RollbackProof:
    if observed.serving is None or not observed.serving.image:
        return RollbackProof(how="nothing serves yet: there is nothing to go back to")
    before = ImageReference.parse(observed.serving.image)
    user, password = hosts.registry_credentials(settings) or ("", "")
    with Registry(address_of(before.repository), username=user, password=password) as registry:
        pullable = registry.exists(before)
    how = "its instance stays beside the new one; migrations only expand; it was not yet run against the new schema"
    return RollbackProof(image=str(before), pullable=pullable, schema=False, how=how)


def _short(image: str) -> str:
    return ImageReference.parse(image).short if image else ""


def _way_back(proof: RollbackProof) -> str:
    return f"{_short(proof.image) or 'none'}, pullable: {'yes' if proof.pullable else 'no'}; {proof.how}"


def _counts(findings: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {severity!s}" for severity, count in findings.items()) or "none"


def _show(plan: ReleasePlan) -> None:
    get_run_logger().info("plan %s: %s", plan.hash[:12], "; ".join(plan.describe()))
    verdict = plan.verdict
    lines = [
        f"**{_short(plan.image)}** to **{plan.environment}**, asked for by {plan.requested_by}",
        "",
        f"Plan `{plan.hash}`, on generation {plan.generation}; {plan.old or 'nobody'} serves {_short(plan.old_image)}",
        "",
        "## Steps",
        "",
        *(f"{number}. {step}" for number, step in enumerate(plan.describe(), 1)),
        "",
        "## What it rests on",
        "",
        *artifacts.markdown_table(
            ("", ""),
            [
                ("gate", "passed" if verdict and verdict.passed else "none"),
                ("findings", _counts(verdict.findings) if verdict else ""),
                ("bill of materials", plan.sbom),
                ("settings", plan.service.settings_hash),
                ("migrations", ", ".join(each.name for each in plan.migrations) or "none"),
                (
                    "recovery point",
                    f"{plan.recovery_point.name}; {plan.recovery_point.rule}" if plan.recovery_point else "none",
                ),
                ("way back", _way_back(plan.rollback_proof)),
                ("drift", "; ".join(plan.drift) or "none"),
            ],
        ),
        "",
        *(
            ["## Exceptions used", "", *(f"- {each}" for each in verdict.exceptions)]
            if verdict and verdict.exceptions
            else []
        ),
    ]
    artifacts.report(f"release-plan-{plan.environment}", f"Plan: {plan.kind} of {plan.service.name}", lines)
