"""Runs any plan on any target: look, act, look again; and the way back when a step fails."""

from __future__ import annotations

import time
from collections.abc import Callable

from coffer.errors import ApprovalError, CofferError, HeldByAnother, StepFailed
from coffer.release.observed import ObservedService
from coffer.release.plan import ReleasePlan
from coffer.release.rollback import steps_back
from coffer.release.standing import check_acting, check_stands
from coffer.release.steps import AnyStep, Record
from coffer.targets.protocol import Fence, StepOutcome, Target

Checkpoint = Callable[[int, StepOutcome], None]


def execute(
    plan: ReleasePlan, target: Target, fence: Fence, checkpoint: Checkpoint | None = None
) -> tuple[StepOutcome, ...]:
    """Carry out a plan, from wherever an earlier attempt left it.

    Args:
        plan: What was approved.
        target: Where.
        fence: The right to change it.
        checkpoint: Called with index and outcome after each step.

    Raises:
        ApprovalError: The world moved since the plan was made; nothing was changed.
        HeldByAnother: Somebody else took over; what they do stands.
        StepFailed: A step failed; what served before serves again, unless the error says otherwise.
    """
    outcomes = []
    for index in range(len(plan.steps)):
        try:
            outcome = perform_step(plan, index, target, fence)
        except (HeldByAnother, ApprovalError):
            raise
        except CofferError as error:
            raise failed_and_back(plan, error, target, fence) from error
        outcomes.append(outcome)
        if checkpoint:
            checkpoint(index, outcome)
    return tuple(outcomes)


def perform_step(plan: ReleasePlan, index: int, target: Target, fence: Fence) -> StepOutcome:
    """Carry out one step of a plan, or find it done.

    Raises:
        ApprovalError: The world moved since the plan was made.
        HeldByAnother: Somebody else took over.
        StepFailed: It was carried out, and its state was not reached.
    """
    observed = target.observe(plan.service)
    if index == 0:
        check_stands(plan, observed)
    else:
        check_acting(plan, observed)
    step = plan.steps[index]
    if any(isinstance(later, Record) and later.is_done(observed) for later in plan.steps[index:]):
        return StepOutcome(step.describe(), done_before=True, detail="the release is on record")
    return _perform(plan, step, observed, target, fence)


def switch_back(plan: ReleasePlan, target: Target, fence: Fence) -> tuple[StepOutcome, ...]:
    """Walk a half done plan back. Runs again after a crash of its own.

    Raises:
        HeldByAnother: Somebody else took over.
        StepFailed: The old instance cannot serve; the steps after it were not tried.
    """
    outcomes = []
    for step in steps_back(plan, target.observe(plan.service)):
        outcomes.append(_perform(plan, step, target.observe(plan.service), target, fence))
    return tuple(outcomes)


def failed_and_back(plan: ReleasePlan, error: CofferError, target: Target, fence: Fence) -> StepFailed:
    """Go back after a failure and return the error that tells the whole story.

    Raises:
        HeldByAnother: Somebody else took over meanwhile.
    """
    try:
        outcomes = switch_back(plan, target, fence)
    except HeldByAnother:
        raise
    except CofferError as second:
        return StepFailed(
            f"release {plan.release} failed, and going back failed too",
            detail=f"{error}; going back: {second}",
            resolution=f"coffer release rollback --environment {plan.environment}",
        )
    did = "; ".join(outcome.step for outcome in outcomes if not outcome.done_before)
    serving = target.observe(plan.service).active or "nobody"
    return StepFailed(
        f"release {plan.release} failed; {serving} serves",
        detail=f"{error}. Going back: {did or 'nothing had to be changed'}",
        resolution="Mend it and release again; this plan's approval stays with this plan",
    )


def _perform(plan: ReleasePlan, step: AnyStep, observed: ObservedService, target: Target, fence: Fence) -> StepOutcome:
    begin = time.monotonic()
    if step.is_done(observed):
        return StepOutcome(step.describe(), done_before=True, seconds=time.monotonic() - begin)
    effect = target.perform(plan.service, step, fence)
    if not step.is_done(target.observe(plan.service)):
        raise StepFailed(f"could not {step.describe()}", detail=effect.detail or "it was done, but it is not so")
    return StepOutcome(
        step.describe(),
        done_before=False,
        detail=effect.detail,
        seconds=time.monotonic() - begin,
        figures=effect.figures,
    )
