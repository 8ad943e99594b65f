"""Asking people, and counting only what they signed for this very plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from prefect import get_run_logger
from prefect.artifacts import Artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from coffer import environments
from coffer.environments import facts
from coffer.errors import ApprovalError, Rejected
from coffer.release.approval import Approval, Choice, check_approvals
from coffer.release.plan import ReleasePlan
from tasks import events
from tasks.policies import remembered

_MOST_ANSWERS = 20


class Answer(RunInput):
    """One person's word on the plan. `coffer release approve RUN --as NAME --key FILE` fills this in."""

    approver: str = Field(min_length=2, description="Your name, as the environment's file lists it.")
    decision: Literal["approve", "reject"] = "reject"
    note: str = Field(default="", description="For the ledger; a rejection needs one.")
    role: str = Field(default="release", description="The role you speak in.")
    signature: str = Field(default="", description="Your signed approval of this plan's hash (JSON).")


@remembered("ask for approval")
def ask(plan: ReleasePlan, plan_hash: str) -> datetime:
    """Leave the plan where approvers find it; returns when an answer comes too late."""
    expires = datetime.now(UTC) + environments.load(plan.environment).approval.valid_for
    Artifact(
        type="coffer-plan",
        key=f"coffer-plan-{str(flow_run.id)[:12]}",
        description=f"The plan that run {flow_run.name} asks approval for",
        data={
            "plan_hash": plan_hash,
            "environment": plan.environment,
            "expires": expires.isoformat(),
            "request": plan.requested_by,
            "plan": plan.to_json(),
        },
    ).create()
    events.emit("coffer.release.planned", plan.service.name, {"plan": plan_hash, "environment": plan.environment})
    return expires


@remembered("count approvals")
def count(plan: ReleasePlan, plan_hash: str, turn: int, answers: list[Answer]) -> str:
    """Return what is still missing, or nothing when the plan is approved.

    Raises:
        Rejected: Somebody who may do so said no.
    """
    policy = facts.approval_policy(environments.load(plan.environment))
    try:
        valid = check_approvals(plan, [_word(answer) for answer in answers], policy, datetime.now(UTC))
    except Rejected:
        raise
    except ApprovalError as error:
        get_run_logger().warning(str(error))
        return error.detail or error.summary
    people = [word.by for word in valid]
    get_run_logger().info("approved by %s", ", ".join(people))
    events.emit("coffer.release.approved", plan.service.name, {"plan": plan_hash, "by": people})
    return ""


def wait_for(plan: ReleasePlan) -> None:
    """Suspend the run until enough people signed this plan.

    An answer that does not count is named and asked for again: a forged word must not be able to end a release.

    Raises:
        Rejected: Somebody who may do so said no.
        ApprovalError: Too many answers did not count.
    """
    if environments.load(plan.environment).approval.needed == 0:
        return
    expires = ask(plan, plan.hash)
    answers: list[Answer] = []
    for turn in range(_MOST_ANSWERS):
        missing = count(plan, plan.hash, turn, answers)
        if not missing:
            return
        answers.append(_next_answer(plan, turn, missing, expires))
    raise ApprovalError(f"{_MOST_ANSWERS} answers, and the plan is still not approved", detail=missing)


def _next_answer(plan: ReleasePlan, turn: int, missing: str, expires: datetime) -> Answer:
    text = "\n".join(
        [
            f"# {plan.kind} {plan.service.name} to {plan.environment}?",
            f"Image `{plan.image}`, plan `{plan.hash}`, asked for by {plan.requested_by}.",
            "",
            *(f"{number}. {step}" for number, step in enumerate(plan.describe(), 1)),
            "",
            f"Missing: {missing}. Until {expires:%Y-%m-%d %H:%M} UTC.",
            f"Sign it with `coffer release approve {flow_run.id} --as NAME --key FILE`.",
        ]
    )
    left = max(expires - datetime.now(UTC), timedelta(seconds=1))
    form = Answer.with_initial_data(description=text)
    answer: Answer = suspend_flow_run(
        wait_for_input=form, timeout=int(left.total_seconds()) + 1, key=f"{plan.hash[:16]}-{turn}"
    )
    return answer


def _word(answer: Answer) -> Approval:
    if answer.signature:
        return Approval.from_json(answer.signature)
    # An unsigned word has no key behind it, so it never counts; it is kept to say so by name.
    now = datetime.now(UTC)
    return Approval("", "", answer.approver, answer.role, Choice(answer.decision), now, now, answer.note)
