"""Facts in, plan out. Nothing here looks at anything or acts."""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.errors import RefusedByPolicy
from coffer.release.gates import Verdict
from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedService
from coffer.release.plan import PlanKind, RecoveryPoint, ReleasePlan, RollbackProof, RolloutPolicy, VerdictSummary
from coffer.release.service import ServiceSpec
from coffer.release.steps import (
    AnyStep,
    AwaitHealth,
    Claim,
    Drain,
    Expand,
    FetchImage,
    JoinProxy,
    Migration,
    Record,
    SmokeTest,
    Soak,
    Start,
    Stop,
    Switch,
    VerifySwitch,
    WriteIntent,
)


@dataclass(frozen=True)
class PlanFacts:
    """What a release is asked for and what is known about it before anything is looked at.

    Attributes:
        release: Id of the release, derived from the request.
        service: What is to run.
        image: The image, by digest.
        requested_by: Who asked.
        verdict: What the gate said; None only where no gate is configured.
        sbom: SHA-256 of the bill of materials.
        migrations: Every SQL file that the image brings.
        recovery_point: The point behind it.
        rollback_proof: Why going back is possible.
    """

    release: str
    service: ServiceSpec
    image: ImageReference
    requested_by: str
    verdict: Verdict | None = None
    sbom: str = ""
    migrations: tuple[Migration, ...] = ()
    recovery_point: RecoveryPoint | None = None
    rollback_proof: RollbackProof = field(default_factory=RollbackProof)


def plan_release(observed: ObservedService, facts: PlanFacts, policy: RolloutPolicy) -> ReleasePlan:
    """Plan a blue-green release.

    Raises:
        RefusedByPolicy: The gate said no, or a migration contracts in the same run.
    """
    _refuse(facts)
    old = observed.active
    new = old.other if old else Colour.BLUE
    pending = tuple(one for one in facts.migrations if one.version not in observed.migrations)
    nothing = _nothing_to_do(observed, facts, pending)
    return ReleasePlan(
        kind=PlanKind.RELEASE,
        release=facts.release,
        service=facts.service,
        image=str(facts.image),
        requested_by=facts.requested_by,
        generation=observed.generation,
        old=old,
        old_image=observed.serving.image if observed.serving else "",
        new=new,
        steps=() if nothing else _forward(observed, facts, policy, new, pending),
        nothing_to_do=nothing,
        sbom=facts.sbom,
        verdict=VerdictSummary.of(facts.verdict) if facts.verdict else None,
        migrations=pending,
        recovery_point=facts.recovery_point,
        rollback_proof=facts.rollback_proof,
        drift=find_drift(observed),
    )


def find_drift(observed: ObservedService) -> tuple[str, ...]:
    """Return what is other than the target's own record says, a line each."""
    lines = []
    serving, current = observed.serving, observed.current
    if observed.active is not observed.persisted:
        lines.append(f"the proxy sends to {observed.active}, but would send to {observed.persisted} after a restart")
    if current and current.colour is not observed.active:
        lines.append(f"{current.colour} is recorded as current, but {observed.active} serves")
    if current and serving and current.colour is observed.active and serving.image != current.image:
        lines.append(f"{observed.active} runs {serving.image or 'nothing'}, recorded is {current.image}")
    if serving and not serving.running:
        lines.append(f"{observed.active} is to serve but does not run")
    elif serving and not serving.in_proxy:
        lines.append(
            f"{observed.active} runs at {serving.address}, the proxy sends to {serving.proxy_address or 'nobody'}"
        )
    if observed.intent is not None:
        lines.append(f"release {observed.claimed_by} has not ended: it was switching to {observed.intent}")
    return tuple(lines)


def _refuse(facts: PlanFacts) -> None:
    if facts.verdict is not None and not facts.verdict.passed:
        raise RefusedByPolicy(
            f"the gate refuses {facts.image.short}",
            detail="; ".join(reason.text for reason in facts.verdict.refusals),
            resolution="Mend it, or take it on with a dated exception",
        )
    contracting = [one.name for one in facts.migrations if one.phase != "expand"]
    if contracting:
        raise RefusedByPolicy(
            "a release only expands the schema",
            detail=f"contracting: {', '.join(contracting)}; the old version may still be needed",
            resolution="Move them to the folder of contract migrations and run them later",
        )


def _nothing_to_do(observed: ObservedService, facts: PlanFacts, pending: tuple[Migration, ...]) -> str:
    serving = observed.serving
    if serving is None or pending or find_drift(observed):
        return ""
    same = serving.image == str(facts.image) and serving.settings_hash == facts.service.settings_hash
    if same and serving.healthy:
        return f"{observed.active} already serves {facts.image.short} with these settings, and is healthy"
    return ""


def _forward(
    observed: ObservedService, facts: PlanFacts, policy: RolloutPolicy, new: Colour, pending: tuple[Migration, ...]
) -> tuple[AnyStep, ...]:
    image, old = str(facts.image), observed.active
    steps: list[AnyStep] = [
        Claim(release=facts.release, generation=observed.generation),
        FetchImage(image=image),
    ]
    if pending:
        # Before the new version starts: it may need the new schema to be healthy; the old one lives with both.
        steps.append(Expand(image=image, migrations=pending))
    steps += [
        Start(colour=new, image=image, release=facts.release, settings_hash=facts.service.settings_hash),
        AwaitHealth(colour=new, times=policy.healthy_times, within=facts.service.start_within),
        JoinProxy(colour=new, within=policy.proxy_within),
        SmokeTest(colour=new, requests=policy.smoke_requests),
        *_switch(new, old, policy),
    ]
    if old and observed.at(old).running:
        steps.append(draining(old, facts.service, policy))
    steps.append(Soak(colour=new, seconds=policy.soak, error_rate=policy.tolerated_errors))
    if old and observed.at(old).running:
        steps.append(Stop(colour=old))
    return (*steps, Record(colour=new, image=image, release=facts.release, generation=observed.generation + 1))


def _switch(new: Colour, old: Colour | None, policy: RolloutPolicy) -> tuple[AnyStep, ...]:
    return (
        WriteIntent(colour=new),
        Switch(colour=new, back=old),
        VerifySwitch(colour=new, requests=policy.verify_requests),
    )


def draining(colour: Colour, service: ServiceSpec, policy: RolloutPolicy) -> Drain:
    """Return the step that lets a colour finish, as service and policy say."""
    return Drain(
        colour=colour,
        signal=service.drain,
        reopen=service.reopen,
        http_within=policy.http_drain,
        websocket_within=policy.websocket_drain,
    )
