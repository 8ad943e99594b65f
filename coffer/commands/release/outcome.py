"""What the end of a run means to the person at the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from coffer.errors import CofferError, Interrupted, StepFailed
from coffer.prefect_api import FlowRun, PrefectApi

_RAISED = re.compile(r"(?:encountered an exception|exception): (?:[\w.]+\.)?(\w+): (.*)", re.DOTALL)


def show(run: FlowRun) -> None:
    """Say on stderr where a run is."""
    message = f": {' '.join(run.message.split())[:300]}" if run.message else ""
    click.echo(f"{run.name} {run.state}{message}", err=True)


def follow(api: PrefectApi, run: FlowRun, timeout: float) -> FlowRun:
    """Show a run's states until it ends well or waits for approval.

    Raises:
        CofferError: It ended otherwise; of the class that the flow raised, so that the exit code is the same as if it
            had run here.
    """
    ended = api.wait(run.id, timeout=timeout, until=lambda seen: seen.finished or seen.waiting, changed=show)
    if ended.waiting:
        click.echo(f"it waits for approval: coffer release approve {ended.id} --as NAME", err=True)
    elif not ended.succeeded:
        raise failure(ended)
    return ended


def failure(run: FlowRun) -> CofferError:
    """Return the error that a run ended with."""
    resolution = f"Look at its log in Prefect's UI; go on with: coffer release resume {run.id}"
    if run.type == "CANCELLED":
        return Interrupted(f"run {run.name} was cancelled", detail=run.message)
    if match := _RAISED.search(run.message):
        kinds = {kind.__name__: kind for kind in _classes(CofferError)}
        return kinds.get(match[1], StepFailed)(f"run {run.name} {run.state.lower()}", detail=match[2].strip())
    return StepFailed(f"run {run.name} {run.state.lower()}", detail=run.message, resolution=resolution)


def _classes(kind: type[CofferError]) -> Iterator[type[CofferError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _classes(child)
