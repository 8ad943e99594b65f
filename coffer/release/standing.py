"""Whether a plan still stands: what was approved must be what the world still looks like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coffer.errors import ApprovalError
from coffer.release.exceptions import GateException, refusal_of
from coffer.release.observed import ObservedService
from coffer.release.plan import ReleasePlan


def check_stands(plan: ReleasePlan, observed: ObservedService) -> None:
    """Refuse a plan when the world moved since it was made. The plan's own steps do not count as movement.

    Raises:
        ApprovalError: Another release acted, or something else serves than the plan says.
    """
    if acts(plan, observed):
        return
    if observed.generation != plan.generation:
        raise _void(
            f"{observed.claimed_by or 'another release'} has acted since: generation {observed.generation}, "
            f"planned on {plan.generation}"
        )
    if observed.active is not plan.old:
        raise _void(f"{observed.active or 'nobody'} serves, the plan was made while {plan.old or 'nobody'} did")
    serving = observed.serving.image if observed.serving else ""
    if serving != plan.old_image:
        raise _void(
            f"{observed.active} runs {serving or 'nothing'}, the plan was made on {plan.old_image or 'nothing'}"
        )


def check_acting(plan: ReleasePlan, observed: ObservedService) -> None:
    """Refuse a step beyond the first unless this plan is the one that acts.

    Raises:
        ApprovalError: Another release claimed the environment since.
    """
    if not acts(plan, observed):
        raise _void(f"{observed.claimed_by or 'nobody'} has claimed {plan.environment}, not {plan.release}")


def acts(plan: ReleasePlan, observed: ObservedService) -> bool:
    """Tell whether this very plan claimed the environment last; an earlier one of the same release does not count."""
    return observed.claimed_by == plan.release and observed.generation == plan.generation + 1


def check_exceptions(exceptions: Sequence[GateException], now: datetime) -> None:
    """Refuse a plan whose exceptions ran out while it waited.

    Raises:
        ApprovalError: One of them no longer counts.
    """
    for exception in exceptions:
        if why := refusal_of(exception, now):
            raise _void(f"the exception for {exception.finding} no longer counts: {why}")


def _void(detail: str) -> ApprovalError:
    return ApprovalError(
        "the plan no longer stands", detail=detail, resolution="Plan again; an older approval does not carry over"
    )
