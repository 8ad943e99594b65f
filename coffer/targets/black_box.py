"""The image as it will run, looked at from outside: does it start, serve, hold a load, and leave in good order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from coffer.errors import CofferError, StepFailed
from coffer.release.images import ImageReference
from coffer.release.observed import Colour
from coffer.release.outcomes import TestOutcome, TestStatus
from coffer.release.service import ServiceSpec
from coffer.targets.docker_host.containers import Containers
from coffer.targets.load import LoadRequest, LoadResult, Profile, generate

_ROOM = 2.0  # times the asked rate, so that a service that is fast enough shows it
_LEAST = 20.0  # requests a second: fewer make no percentile


@dataclass(frozen=True)
class Expectation:
    """What a load must show.

    Attributes:
        profile: What it is made of.
        seconds: How long.
        p95_ms: Slowest 95th percentile.
        requests_per_minute: Fewest answers a minute.
        error_share: Largest share of failures.
    """

    profile: Profile
    seconds: float
    p95_ms: float
    requests_per_minute: float
    error_share: float


def try_out(
    containers: Containers, service: ServiceSpec, image: ImageReference, expected: Expectation
) -> Iterator[TestOutcome]:
    """Start the real image, hardened as in production, load it, stop it. Yields `load`, then `start-and-stop`.

    A service that does not start yields both as failed or not run.
    """
    colour, began = Colour.GREEN, time.monotonic()
    try:
        containers.start(service, colour, image, "tests")
        address, start_seconds = _wait_until_healthy(containers, service, colour, began)
    except CofferError as error:
        detail = f"{error} {containers.log_tail(service, colour)}".strip()
        yield TestOutcome("start-and-stop", TestStatus.FAILED, detail=detail, seconds=time.monotonic() - began)
        yield TestOutcome("load", TestStatus.NOT_RUN, detail="the service did not start")
        return
    yield _load(address, expected)
    yield _stop(containers, service, colour, start_seconds)


def _wait_until_healthy(
    containers: Containers, service: ServiceSpec, colour: Colour, began: float
) -> tuple[str, float]:
    said = "no answer"
    while time.monotonic() - began < service.start_within:
        instance = containers.find(service, colour)
        if instance is None or instance.restarts or (not instance.running and instance.exit_code):
            raise StepFailed(
                "the service ended by itself", detail=f"exit code {instance.exit_code if instance else ''}"
            )
        if instance.address:
            address = f"http://{instance.address}:{service.port}"
            try:
                answer = httpx.get(f"{address}{service.health}", timeout=5, trust_env=False)
            except httpx.TransportError as error:
                said = str(error)
            else:
                if answer.status_code == httpx.codes.OK:
                    return address, time.monotonic() - began
                said = f"HTTP {answer.status_code}"
        time.sleep(0.1)
    raise StepFailed(f"the service was not healthy within {service.start_within:g} s", detail=said)


def _load(address: str, expected: Expectation) -> TestOutcome:
    began = time.monotonic()
    rate = max(_LEAST, expected.requests_per_minute / 60 * _ROOM)
    result = _in_a_loop_of_its_own(LoadRequest(address, expected.profile, rate, expected.seconds))
    share = result.failed / result.requests if result.requests else 1.0
    answered = (result.requests - result.failed) / result.seconds * 60 if result.seconds else 0.0
    p95 = result.latency_ms.get("p95", float("inf"))
    wrong = [
        text
        for is_wrong, text in (
            (p95 > expected.p95_ms, f"p95 {p95:.0f} ms, at most {expected.p95_ms:.0f} wanted"),
            (
                answered < expected.requests_per_minute,
                f"{answered:.0f} answers a minute, {expected.requests_per_minute:.0f} wanted",
            ),
            (share > expected.error_share, f"{result.failed} of {result.requests} failed: {dict(result.failures)}"),
        )
        if is_wrong
    ]
    figures = {
        "requests": float(result.requests),
        "failed": float(result.failed),
        "requests_per_minute": round(answered, 1),
        "behind_ms": result.behind_ms,
        # Nothing where nothing was answered: infinity is no JSON.
        **{f"{name}_ms": value for name, value in result.latency_ms.items() if name in ("p95", "p99")},
    }
    status = TestStatus.FAILED if wrong else TestStatus.PASSED
    return TestOutcome("load", status, detail="; ".join(wrong), seconds=time.monotonic() - began, figures=figures)


def _in_a_loop_of_its_own(request: LoadRequest) -> LoadResult:
    """Run the load in a thread: whoever calls may have an event loop already."""
    results: list[LoadResult] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(generate(request)))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="load")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _stop(containers: Containers, service: ServiceSpec, colour: Colour, start_seconds: float) -> TestOutcome:
    began = time.monotonic()
    containers.stop(service, colour)
    seconds = time.monotonic() - began
    instance = containers.find(service, colour)
    code = instance.exit_code if instance else None
    figures = {"start_seconds": round(start_seconds, 2), "stop_seconds": round(seconds, 2)}
    if code != 0:
        why = f"it ended with {code} after SIGTERM" + (" and had to be killed" if code == 137 else "")
        return TestOutcome(
            "start-and-stop", TestStatus.FAILED, detail=why, seconds=start_seconds + seconds, figures=figures
        )
    detail = f"healthy after {start_seconds:.1f} s, gone after {seconds:.1f} s, read-only, without capabilities"
    return TestOutcome(
        "start-and-stop", TestStatus.PASSED, detail=detail, seconds=start_seconds + seconds, figures=figures
    )
