"""The real disaster as a flow's tasks: each step of the engine's plan is a task, and the journal says what is done."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from prefect import get_run_logger
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from coffer import environments
from coffer.errors import ApprovalError, UsageError
from coffer.keys import Identity
from coffer.recovery.access import IDENTITY_VARIABLE
from coffer.recovery.recover import RecoverRequest, Recovery
from coffer.recovery.recover_executor import Outcome
from coffer.recovery.recover_plan import check_image
from coffer.recovery.recover_report import RecoveryReport
from coffer.recovery.target import RestoreTarget
from tasks import artifacts, events
from tasks.policies import acting, remembered

REPORTS_VARIABLE = "COFFER_REPORTS"
_CONFIRM_SECONDS = 24 * 3600
_MOST_ANSWERS = 5


class Confirmation(RunInput):
    """One person's yes."""

    service: str = Field(description="Type the service's name: what stands at its places will be set aside.")
    by: str = Field(default="", description="Your name, for the ledger.")


@remembered("choose point and moment", retries=0)
def choose(environment: str, moment: str, image: str) -> str:
    """Choose what to bring back, or find what is half done; return the recovery's id. Nothing is touched.

    Args:
        environment: Whose service.
        moment: ISO 8601 with offset, or `latest`.
        image: By digest; empty for what the vault says.
    """
    settings = environments.load(environment)
    check_image(image, settings.service.image)
    target = None if moment in ("", "latest") else RestoreTarget.parse_time(moment)
    recovery = Recovery(_request(environment, target=target, image=image, otherwise=str(flow_run.id)))
    rows = [{"": number, "step": step.what} for number, step in enumerate(recovery.steps, 1)]
    artifacts.table(f"recover-{environment}", rows, "\n\n".join(recovery.lines()))
    return recovery.journal.record.plan.id


def wait_for_confirmation(environment: str, recovery_id: str) -> None:
    """Suspend until a person types the service's name; a recovery that was begun was confirmed before.

    Raises:
        ApprovalError: Something else was typed too often.
    """
    recovery = _open(environment, recovery_id)
    record = recovery.journal.record
    if record.begun:
        return
    text = "\n".join(
        [f"# Recover {record.plan.service} in {environment}?", "", *(f"- {one}" for one in recovery.lines())]
    )
    for turn in range(_MOST_ANSWERS):
        form = Confirmation.with_initial_data(description=text)
        said: Confirmation = suspend_flow_run(
            wait_for_input=form, timeout=_CONFIRM_SECONDS, key=f"recover-{recovery_id[:16]}-{turn}"
        )
        if said.service.strip() == record.plan.service:
            recovery.confirm(said.by or f"run {flow_run.id}")
            return
        get_run_logger().warning("'%s' is not %s", said.service, record.plan.service)
    raise ApprovalError(f"{record.plan.service} was not confirmed", detail="nothing was touched")


@acting("step", retries=0)
def perform(environment: str, recovery_id: str, key: str) -> Outcome:
    """Carry out one step, or find it done.

    Raises:
        CofferError: It failed; all before it stays done, and a retry of the run goes on with it.
    """
    recovery = _open(environment, recovery_id)
    step = next(each for each in recovery.steps if each.key == key)
    outcome = recovery.perform(step)
    how = "was done already" if outcome.done_before else f"done in {outcome.seconds:.1f} s"
    get_run_logger().info("%s: %s %s", step.what, how, outcome.detail)
    return outcome


def carry_out(environment: str, recovery_id: str) -> None:
    """Carry out what is left, each step as a task of its own."""
    recovery = _open(environment, recovery_id)
    events.emit("coffer.recovery.begun", recovery.journal.record.plan.service, {"environment": environment})
    for step in recovery.steps:
        perform.with_options(task_run_name=step.what)(environment, recovery_id, step.key)


@acting("report", retries=0)
def report(environment: str, recovery_id: str) -> dict[str, object]:
    """Write down that it ended, and leave the report where people look."""
    found = _open(environment, recovery_id).finish()
    where = _write_page(found)
    lines = [
        *(f"- {line.strip()}" for line in found.lines()),
        "",
        *artifacts.markdown_table(("phase", "seconds"), [(one.name, f"{one.seconds:.2f}") for one in found.phases]),
        "",
        f"The page with the timeline: `{where}`",
    ]
    artifacts.report("recovery", f"Recovery of {environment}", lines)
    summary: dict[str, object] = {
        "recovery": found.recovery, "point": found.point, "target": found.target,
        "rto_seconds": found.rto_seconds, "rpo_seconds": found.rpo_seconds,
    }  # fmt: skip
    events.emit("coffer.recovery.done", found.service, {"environment": environment, **summary})
    return summary


@functools.cache
def _open(environment: str, recovery_id: str) -> Recovery:
    """Open a recovery once a process: its plan stands, and opening a vault takes time that people wait."""
    return Recovery(_request(environment, recovery=recovery_id))


def _request(
    environment: str, *, target: RestoreTarget | None = None, image: str = "", recovery: str = "", otherwise: str = ""
) -> RecoverRequest:
    identity = os.environ.get(IDENTITY_VARIABLE)
    if not identity:
        raise UsageError(
            "this worker has no identity, so it cannot recover", resolution="Recover in the pool coffer-escrow"
        )
    return RecoverRequest(
        environments.load(environment),
        Identity.load(Path(identity)),
        again=f"coffer recover --environment {environment} --identity IDENTITY, or retry this run",
        target=target,
        image=image,
        recovery=recovery,
        new_id=otherwise,
    )


def _write_page(found: RecoveryReport) -> Path:
    folder = Path(os.environ.get(REPORTS_VARIABLE) or "reports")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"recovery-{found.environment}-{found.recovery}.html"
    path.write_text(found.page())
    path.with_suffix(".json").write_text(json.dumps(found.as_dict(), default=str, indent=2) + "\n")
    return path
