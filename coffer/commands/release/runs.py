"""`coffer release run|status|rollback|resume`."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from pathlib import Path

import click

from coffer import environments
from coffer.commands.release.outcome import follow, show
from coffer.commands.release.request import (
    checked,
    environment_option,
    idempotency_key,
    json_option,
    optional_environment,
    timeout_option,
    wait_option,
)
from coffer.errors import UsageError
from coffer.prefect_api import FlowRun, PrefectApi, Started


@click.command()
@environment_option
@click.argument("image", required=False, default="", metavar="IMAGE@sha256:…")
@click.option("--source", default="", metavar="DIR", help="Build this folder instead of naming an image.")
@click.option("--build-argument", "build", multiple=True, metavar="NAME=VALUE", help="Argument of that build.")
@click.option("--attempt", default=1, show_default=True, help="Raise it to release a digest that was rolled back.")
@wait_option
@timeout_option
@json_option
def run(
    environment: str,
    image: str,
    source: str,
    build: tuple[str, ...],
    attempt: int,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Start a release. The same image and attempt twice is one run."""
    if bool(image) == bool(source):
        raise UsageError("a release needs an image or a source", resolution="Name IMAGE@sha256:…, or --source DIR")
    parameters: dict[str, object] = {"environment": environment, "attempt": attempt, "requester": getpass.getuser()}
    key = ""
    if image:
        found, reference = checked(environment, image)
        parameters |= {"image": str(reference)}
        key = idempotency_key(found.name, reference, attempt)
    else:
        environments.load(environment)
        # The worker's folder is not this one.
        parameters |= {"source": str(Path(source).resolve()), "build_arguments": _arguments(build)}
    api = PrefectApi.from_environment()
    _report(api, api.start(f"release/{environment}", parameters, key=key), wait, timeout, as_json)


@click.command()
@environment_option
@click.option("--reason", required=True, help="Why; it goes into the ledger.")
@wait_option
@timeout_option
@json_option
def rollback(environment: str, reason: str, wait: bool, timeout: float, as_json: bool) -> None:
    """Switch an environment back to what served before."""
    environments.load(environment)
    api = PrefectApi.from_environment()
    parameters = {"environment": environment, "reason": reason, "requester": getpass.getuser()}
    _report(api, api.start(f"rollback/{environment}", parameters), wait, timeout, as_json)


@click.command()
@click.argument("run_id", metavar="RUN")
@optional_environment
@wait_option
@timeout_option
@json_option
def resume(run_id: str, environment: str, wait: bool, timeout: float, as_json: bool) -> None:
    """Let a crashed or failed run go on from its first unfinished step."""
    api = PrefectApi.from_environment()
    _same_environment(api.run(run_id), environment)
    _report(api, Started(api.retry(run_id, reason=f"resumed by {getpass.getuser()}"), True), wait, timeout, as_json)


@click.command()
@click.argument("run_id", required=False, default="", metavar="[RUN]")
@optional_environment
@click.option("--limit", default=10, show_default=True, help="How many releases to look at.")
@json_option
def status(run_id: str, environment: str, limit: int, as_json: bool) -> None:
    """Show one run, or the last releases of an environment."""
    api = PrefectApi.from_environment()
    if run_id:
        found = [api.run(run_id)]
        _same_environment(found[0], environment)
    else:
        wanted = {"environment": environments.load(environment).name} if environment else {}
        found = api.runs(flow="release", parameters=wanted, limit=200)[:limit]
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in found]))
        return
    _table(found)


def _arguments(build: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in build]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise UsageError(f"'{wrong[0]}' is no build argument", resolution="Write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _report(api: PrefectApi, started: Started, wait: bool, timeout: float, as_json: bool) -> None:
    ended = started.run
    if not started.new:
        again = "; --attempt N asks once more" if ended.finished else ""
        click.echo(f"this was asked for before, it is the same run{again}", err=True)
    if wait:
        ended = follow(api, ended, timeout)
    else:
        show(ended)
    click.echo(json.dumps({**ended.as_dict(), "new": started.new}) if as_json else ended.id)


def _same_environment(run: FlowRun, environment: str) -> None:
    its = run.parameters.get("environment")
    if environment and its != environment:
        raise UsageError(f"run {run.name} is about {its}, not {environment}")


def _table(found: Sequence[FlowRun]) -> None:
    rows = [("RUN", "STATE", "ENVIRONMENT", "IMAGE", "STARTED")]
    for each in found:
        image = str(each.parameters.get("image") or each.parameters.get("source") or "")
        short = image.rpartition("/")[2].replace("sha256:", "")[:40]
        rows.append((each.id, each.state, str(each.parameters.get("environment") or ""), short, each.started[:19]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if len(found) == 1 and found[0].message:
        click.echo(f"\n{found[0].message}")
