"""Releases as a person makes them: start, look at the plan, approve."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
    """

    run: FlowRun
    seconds: float


@dataclass(frozen=True)
class Proposed:
    """A release that was asked for.

    Attributes:
        version: Its version.
        began: When, on the monotonic clock.
        report: Called with a line for each state.
        run: The run, waiting for approval or ended before.
    """

    version: str
    began: float
    report: Callable[[str], None]
    run: FlowRun | None = None

    def say(self, run: FlowRun) -> None:
        """Report a state."""
        self.report(f"release {self.version}: {run.state}")


def _asked(run: FlowRun) -> bool:
    return run.finished or run.waiting


def _api() -> PrefectApi:
    return PrefectApi.from_environment()


def propose(version: str, stack: Stack, report: Callable[[str], None], fault: str = "none") -> Proposed:
    """Start a release of CreditAI from its source and wait until it asks for approval, or ends before.

    Args:
        version: Version that the image is to say.
        stack: Where to.
        report: Called with each state of the run.
        fault: Rehearsal fault that is built in; see examples/creditai/README.md.
    """
    arguments = {"APP_VERSION": version, "FAULT": fault, "BASE_IMAGE": stack.base_image}
    parameters = {
        "environment": "production",
        "source": str(SERVICE),
        "build_arguments": arguments,
        "requester": "demo",
    }
    proposed = Proposed(version, time.monotonic(), report)
    run = _api().start("release/production", parameters).run
    run = _api().wait(run.id, timeout=10 * _MINUTES, until=_asked, changed=proposed.say)
    return replace(proposed, run=run)


def approve(proposed: Proposed, stack: Stack) -> Release:
    """Sign the plan of a run that waits for it, and wait for the end, whatever it is."""
    run = proposed.run
    if run is not None and run.waiting:
        coffer("release", "approve", run.id, "--as", "ada", "--key", str(stack.approver_key), "--note", "seen the plan")
        run = _api().wait(run.id, timeout=10 * _MINUTES, changed=proposed.say)
    if run is None:
        raise StepFailed(f"release {proposed.version} never started")
    return Release(run, time.monotonic() - proposed.began)


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
