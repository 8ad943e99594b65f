"""Releases as a person makes them: start, look at the plan, approve."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import StepFailed
from coffer.prefect_api import FlowRun, PrefectApi
from examples.demo.stack import Stack, coffer

SERVICE = Path(__file__).parents[1] / "creditai"
_MINUTES = 60


@dataclass(frozen=True)
class Release:
    """One release of the demo, finished.

    Attributes:
        run: The run, as it ended.
        seconds: From its start to its end, waiting for approval included.
        approved: Whether it got as far as approval.
    """

    run: FlowRun
    seconds: float
    approved: bool


def release(version: str, stack: Stack, report: Callable[[str], None], fault: str = "none") -> Release:
    """Release CreditAI from its source, approve the plan, and wait for the end, whatever it is.

    Args:
        version: Version that the image is to say.
        stack: Where to.
        report: Called with each state of the run.
        fault: Rehearsal fault that is built in; see examples/creditai/README.md.
    """
    api, began = PrefectApi.from_environment(), time.monotonic()
    arguments = {"APP_VERSION": version, "FAULT": fault, "BASE_IMAGE": stack.base_image}
    parameters = {
        "environment": "production",
        "source": str(SERVICE),
        "build_arguments": arguments,
        "requester": "demo",
    }
    run = api.start("release/production", parameters).run

    def changed(run: FlowRun) -> None:
        report(f"release {version}: {run.state}")

    run = api.wait(run.id, timeout=10 * _MINUTES, until=lambda run: run.finished or run.waiting, changed=changed)
    approved = run.waiting
    if approved:
        coffer("release", "approve", run.id, "--as", "ada", "--key", str(stack.approver_key), "--note", "seen the plan")
        run = api.wait(run.id, timeout=10 * _MINUTES, changed=changed)
    return Release(run, time.monotonic() - began, approved)


def expect(release: Release, state: str) -> Release:
    """Return the release if it ended so.

    Raises:
        StepFailed: It ended otherwise.
    """
    if release.run.type != state:
        raise StepFailed(f"release run {release.run.name} is {release.run.state}", detail=release.run.message)
    return release


def run_to_end(deployment: str, parameters: dict[str, object], report: Callable[[str], None]) -> FlowRun:
    """Start a deployment and wait until it completed.

    Raises:
        StepFailed: It ended otherwise.
    """
    api = PrefectApi.from_environment()
    run = api.start(deployment, parameters).run
    run = api.wait(run.id, timeout=10 * _MINUTES, changed=lambda run: report(f"{deployment}: {run.state}"))
    if not run.succeeded:
        raise StepFailed(f"{deployment} is {run.state}", detail=run.message)
    return run
