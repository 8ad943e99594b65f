"""`coffer release approve|reject|approver-key`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from coffer.commands.release.request import json_option, optional_environment
from coffer.commands.release.waiting import WaitingPlan, find
from coffer.environments.durations import parse_duration
from coffer.errors import ApprovalError, UsageError
from coffer.keys import approver_key as keys
from coffer.prefect_api import PrefectApi
from coffer.release.approval import Approval, Choice

_run = click.argument("run_id", required=False, default="", metavar="[RUN]")
_by = click.option(
    "--as", "by", required=True, metavar="NAME", help="Who says so; the environment file lists the name."
)
_role = click.option("--role", default="release", show_default=True, help="Role in which it is said.")
_key = click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="COFFER_APPROVER_KEY",
    help="Private Ed25519 key: OpenSSH, or made by approver-key. Without it nothing is signed.",
)


@click.command()
@_run
@optional_environment
@_by
@_key
@_role
@click.option(
    "--valid-for", default="4 h", show_default=True, help="How long the approval stands; the plan may say less."
)
@click.option("--note", default="", help="For the ledger.")
@json_option
def approve(
    run_id: str, environment: str, by: str, key: Path | None, role: str, valid_for: str, note: str, as_json: bool
) -> None:
    """Approve the plan of a run that waits: this plan, in this environment, and no other."""
    _say(run_id, environment, Choice.APPROVE, by, key, role, _duration(valid_for), note, as_json)


@click.command()
@_run
@optional_environment
@_by
@_key
@_role
@click.option("--reason", required=True, help="Why, for those who have to mend it.")
@json_option
def reject(run_id: str, environment: str, by: str, key: Path | None, role: str, reason: str, as_json: bool) -> None:
    """Reject the plan of a run that waits."""
    if not reason.strip():
        raise UsageError("a rejection needs a reason", resolution="Say why, for those who have to mend it")
    _say(run_id, environment, Choice.REJECT, by, key, role, timedelta(hours=4), reason, as_json)


@click.command("approver-key")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File of the new key, 0600."
)
def approver_key(out: Path) -> None:
    """Make a key to approve with; its public half goes into the environment file."""
    public = keys.create(out)
    click.echo(f"wrote {out} (keep it); put this into the environment file under [approval.keys]:", err=True)
    click.echo(f'NAME = "{public}"')


def _say(
    run_id: str,
    environment: str,
    choice: Choice,
    by: str,
    key: Path | None,
    role: str,
    valid_for: timedelta,
    text: str,
    as_json: bool,
) -> None:
    secret = keys.read(key) if key else None
    api = PrefectApi.from_environment()
    waiting = find(api, run_id, environment)
    _show(waiting)
    now = datetime.now(UTC)
    if waiting.expires is not None and waiting.expires <= now:
        raise ApprovalError(
            f"run {waiting.run.name} asked too long ago", detail=f"its plan stood until {waiting.expires.isoformat()}"
        )
    until = min(now + valid_for, waiting.expires) if waiting.expires else now + valid_for
    word = Approval(waiting.hash, waiting.environment, by, role, choice, now, until, text)
    answer = {
        "approver": by,
        "decision": str(choice),
        "note": text,
        "role": role,
        # All that is signed, and the signature: the flow reads it back with Approval.from_json.
        "signature": word.signed(secret).to_json() if secret else "",
    }
    api.resume(waiting.run.id, answer)
    summary = {"run": waiting.run.id, "plan": waiting.hash, "environment": waiting.environment, "choice": str(choice)}
    click.echo(json.dumps(summary) if as_json else f"{choice}: plan {waiting.hash[:12]} for {waiting.environment}")


def _show(waiting: WaitingPlan) -> None:
    """Show what is about to be signed: nobody should put a name under a hash alone."""
    click.echo(f"plan {waiting.hash} for {waiting.environment}", err=True)
    if waiting.plan is not None:
        click.echo(f"image {waiting.plan.image}, asked for by {waiting.plan.requested_by or 'nobody'}", err=True)
        for line in waiting.plan.describe():
            click.echo(f"  {line}", err=True)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
