"""The way back: after a failed step, and later on somebody's word. It depends on the old instance's health only."""

from __future__ import annotations

from coffer.errors import RefusedByPolicy
from coffer.release.observed import Colour, ObservedService
from coffer.release.plan import PlanKind, ReleasePlan, RolloutPolicy
from coffer.release.planner import draining
from coffer.release.service import ServiceSpec
from coffer.release.standing import acts
from coffer.release.steps import (
    AnyStep,
    AwaitHealth,
    Claim,
    ClearIntent,
    FetchImage,
    JoinProxy,
    LeaveProxy,
    Record,
    Remove,
    Reopen,
    Resume,
    Start,
    Stop,
    Switch,
    VerifySwitch,
    WriteIntent,
)


def plan_rollback(
    observed: ObservedService,
    service: ServiceSpec,
    policy: RolloutPolicy,
    *,
    release: str,
    requested_by: str,
    reason: str,
) -> ReleasePlan:
    """Plan the way from what serves to what served before it.

    The schema stays expanded: what served before works with it.

    Raises:
        RefusedByPolicy: There is nothing to go back to.
    """
    if _is_half_way(observed):
        return _abort(observed, service, release=release, requested_by=requested_by, reason=reason)
    bad = observed.active
    target = bad.other if bad else (observed.previous.colour if observed.previous else Colour.BLUE)
    here = observed.at(target)
    image = here.image or (observed.previous.image if observed.previous else "")
    if not image:
        raise RefusedByPolicy(
            "there is nothing to go back to",
            detail=f"{service.environment} has had one release, or its instance and its record are gone",
            resolution="Release a known good image instead",
        )
    return ReleasePlan(
        kind=PlanKind.ROLLBACK,
        release=release,
        service=service,
        image=image,
        requested_by=requested_by,
        generation=observed.generation,
        old=bad,
        old_image=observed.serving.image if observed.serving else "",
        new=target,
        steps=_back(observed, service, policy, release, target, image),
        reason=reason,
    )


def steps_back(plan: ReleasePlan, observed: ObservedService) -> tuple[AnyStep, ...]:
    """Return what takes a half done plan back, from what is so now.

    Nothing goes back where this plan never began to act, or where requests already go to the new instance and the
    old one cannot be had: a sick version serves better than nobody. A first release that fails leaves the page
    that says so. A rollback that fails before its switch only strikes out its intent.
    """
    if not acts(plan, observed):
        return ()
    switched = plan.new in (observed.active, observed.persisted)
    if plan.kind is PlanKind.ROLLBACK:
        return () if switched else (ClearIntent(),)
    if plan.old is not None and switched and not observed.at(plan.old).exists:
        return ()
    # A step that never began is undone too where its undoing finds something: after a crash nobody knows for sure.
    steps = [undo for step in reversed(plan.steps) for undo in step.undo]
    if plan.old is not None and observed.at(plan.old).healthy:
        steps = [step for step in steps if not isinstance(step, Resume | AwaitHealth)]
    if observed.active is plan.old and observed.intent is None:
        # It was never drained: draining comes after the switch.
        steps = [step for step in steps if not isinstance(step, Reopen)]
    return tuple(steps)


def _is_half_way(observed: ObservedService) -> bool:
    """Tell whether a release started an instance and has not switched to it: then nothing is to be switched back."""
    current, active = observed.current, observed.active
    if active is None or current is None or current.colour is not active:
        return False
    recorded = (observed.claimed_by, observed.generation) == (current.release, current.generation)
    return not recorded and observed.at(active.other).release == observed.claimed_by


def _abort(
    observed: ObservedService, service: ServiceSpec, *, release: str, requested_by: str, reason: str
) -> ReleasePlan:
    serving, active = observed.serving, observed.active
    if serving is None or active is None:
        raise RefusedByPolicy("nothing serves, so there is nothing to stay on")
    return ReleasePlan(
        kind=PlanKind.ROLLBACK,
        release=release,
        service=service,
        image=serving.image,
        requested_by=requested_by,
        generation=observed.generation,
        old=active,
        old_image=serving.image,
        new=active,
        steps=(
            Claim(release=release, generation=observed.generation),
            ClearIntent(),
            LeaveProxy(colour=active.other),
            Remove(colour=active.other),
        ),
        reason=reason,
    )


def _back(
    observed: ObservedService, service: ServiceSpec, policy: RolloutPolicy, release: str, target: Colour, image: str
) -> tuple[AnyStep, ...]:
    here, bad = observed.at(target), observed.active
    steps: list[AnyStep] = [Claim(release=release, generation=observed.generation)]
    if not here.exists:
        start = Start(colour=target, image=image, release=release, settings_hash=service.settings_hash)
        steps += [FetchImage(image=image), start]
    elif not here.running:
        steps.append(Resume(colour=target))
    if not (here.running and here.in_proxy):
        steps.append(AwaitHealth(colour=target, times=1, within=service.start_within))
        steps.append(JoinProxy(colour=target, within=policy.proxy_within))
    if here.running and service.reopen:
        steps.append(Reopen(colour=target, signal=service.reopen))
    steps.append(WriteIntent(colour=target))
    steps.append(Switch(colour=target, back=bad))
    steps.append(VerifySwitch(colour=target, requests=policy.verify_requests))
    steps.append(Record(colour=target, image=image, release=release, generation=observed.generation + 1))
    if bad and observed.at(bad).running:
        steps.append(draining(bad, service, policy))
        steps.append(Stop(colour=bad))
    return tuple(steps)
