"""Carrying a plan out, step by step; every step looks before it acts, so that a resumed run finds what is done."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.errors import ApprovalError, CofferError, HeldByAnother, StepFailed
from coffer.release.plan import ReleasePlan
from coffer.targets import executor
from coffer.targets.protocol import Fence, StepOutcome
from tasks import artifacts, events
from tasks.policies import acting
from tasks.targets import open_target


@acting("take the lease")
def acquire(plan: ReleasePlan, takeover: bool = False) -> Fence:
    """Take the right to change an environment; an earlier process of the same release is shut out.

    Raises:
        HeldByAnother: Another release acts there.
    """
    target = open_target(environments.load(plan.environment))
    return target.acquire(plan.release, plan.within, takeover=takeover)


@acting("step")
def perform(plan: ReleasePlan, index: int, fence: Fence, title: str) -> StepOutcome:
    """Carry out one step of a plan, or find it done.

    Raises:
        ApprovalError: The world moved since the plan was made.
        HeldByAnother: Somebody else took over.
        StepFailed: Its state was not reached.
    """
    outcome = executor.perform_step(plan, index, open_target(environments.load(plan.environment)), fence)
    how = "was done already" if outcome.done_before else f"done in {outcome.seconds:.2f} s"
    get_run_logger().info("%s: %s %s", title, how, outcome.detail)
    return outcome


@acting("switch back")
def switch_back(plan: ReleasePlan, fence: Fence) -> tuple[StepOutcome, ...]:
    """Go back to what served before.

    Raises:
        StepFailed: What served before cannot serve.
    """
    outcomes = executor.switch_back(plan, open_target(environments.load(plan.environment)), fence)
    for outcome in outcomes:
        get_run_logger().warning("going back: %s (%.2f s)", outcome.step, outcome.seconds)
    return outcomes


@acting("give the lease back")
def give_back(plan: ReleasePlan, fence: Fence) -> None:
    """Let others release here."""
    open_target(environments.load(plan.environment)).release(fence)


def carry_out(plan: ReleasePlan, takeover: bool = False) -> tuple[StepOutcome, ...]:
    """Carry a plan out; after any failure what served before serves again.

    Raises:
        ApprovalError: The world moved since the plan was made; nothing was changed.
        HeldByAnother: Another release acts there.
        StepFailed: A step failed; the error says what was done about it.
    """
    fence = acquire(plan, takeover)
    outcomes: list[StepOutcome] = []
    try:
        for index, step in enumerate(plan.steps):
            outcomes.append(perform.with_options(task_run_name=step.describe())(plan, index, fence, step.describe()))
    except (ApprovalError, HeldByAnother):
        raise
    except Exception as error:
        back = _go_back(plan, fence, error)
        _report(plan, [*outcomes, *back], f"failed and went back: {error}")
        raise _failure(plan, error, back) from error
    finally:
        give_back(plan, fence)
    _report(plan, outcomes, "switched")
    return tuple(outcomes)


def _go_back(plan: ReleasePlan, fence: Fence, error: Exception) -> tuple[StepOutcome, ...]:
    get_run_logger().error("%s; going back", error)
    back: tuple[StepOutcome, ...] = switch_back(plan, fence)
    detail = {"environment": plan.environment, "release": plan.release, "why": str(error)}
    events.emit("coffer.release.rolled_back", plan.service.name, detail)
    return back


def _failure(plan: ReleasePlan, error: Exception, back: tuple[StepOutcome, ...]) -> CofferError:
    did = "; ".join(outcome.step for outcome in back if not outcome.done_before) or "nothing had to be changed"
    return StepFailed(
        f"release to {plan.environment} failed and was taken back",
        detail=f"{error}. Going back: {did}",
        resolution="Mend it and release again; this plan's approval stays with this plan",
    )


def _report(plan: ReleasePlan, outcomes: list[StepOutcome] | tuple[StepOutcome, ...], result: str) -> None:
    rows = [
        {
            "step": outcome.step,
            "": "was done" if outcome.done_before else "done",
            "seconds": f"{outcome.seconds:.2f}",
            "seen": outcome.detail,
            "measured": ", ".join(f"{name} {value:g}" for name, value in outcome.figures.items()),
        }
        for outcome in outcomes
    ]
    artifacts.table(f"rollout-{plan.environment}", rows, f"{plan.kind} to {plan.environment}: {result}")
