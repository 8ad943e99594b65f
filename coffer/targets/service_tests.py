"""Tests of an image before anybody is sent to it: its own, and ours from outside, on services made for the test."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import docker
from docker.errors import DockerException
from docker.types import Mount

from coffer.errors import CofferError, NotThere, OutsideSystemError
from coffer.release.images import ImageReference
from coffer.release.outcomes import TestOutcome, TestStatus
from coffer.release.service import SecretReference, ServiceSpec
from coffer.targets import black_box
from coffer.targets.docker_host import migrations
from coffer.targets.docker_host.containers import Containers
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.image_builder import TESTS
from coffer.targets.load import Profile, plain_profile
from coffer.targets.registry import Registry, artifact_tag
from coffer.targets.throwaway_services import ThrowawayServices, throwaway_services

_LOG_LINES = 30
_CPU_SHARES = 128  # of a serving container's 1024
_TIME_LIMIT = 300.0  # seconds for one suite of the service's own tests
Report = Callable[[TestOutcome], None]


@dataclass(frozen=True)
class ServiceTests:
    """What to test, and what counts as good.

    Attributes:
        docker: Address of the engine.
        image: The image to be released.
        tests_image: The stage that can run the service's own tests; None if nobody brought it.
        service: The service as its environment describes it; its secrets are replaced, never used.
        required: Names of the tests without which nothing is released.
        unit: Command of the unit tests in the tests image; empty for none.
        integration: Command of the integration tests.
        profile: What the load is made of; None asks for the health path.
        load_seconds: How long.
        p95_ms: Slowest 95th percentile.
        requests_per_minute: Fewest answers a minute.
        error_share: Largest share of failures.
        credentials: User and password of the registry.
    """

    docker: str
    image: ImageReference
    tests_image: ImageReference | None
    service: ServiceSpec
    required: tuple[str, ...] = ("unit", "integration", "start-and-stop", "load")
    unit: tuple[str, ...] = ("npm", "run", "test:unit")
    integration: tuple[str, ...] = ("npm", "run", "test:integration")
    profile: Profile | None = None
    load_seconds: float = 8.0
    p95_ms: float = 200.0
    requests_per_minute: float = 1000.0
    error_share: float = 0.001
    credentials: tuple[str, str] | None = None


def find_tests_image(registry: Registry, image: ImageReference) -> ImageReference | None:
    """Return the tests stage that was pushed with an image; None if it came without one."""
    try:
        return registry.resolve(image.repository, artifact_tag(image, TESTS))
    except NotThere:
        return None


def run_tests(tests: ServiceTests, *, report: Report = lambda _outcome: None) -> tuple[TestOutcome, ...]:
    """Run all tests of an image; its own suites beside each other, and alone what measures how fast it answers.

    A test that fails is an outcome. What is raised says nothing about the image.

    Args:
        tests: What to test.
        report: Told each outcome as it comes.

    Raises:
        NotThere: The registry does not have the image.
        OutsideSystemError: The engine or a throw-away service failed.
    """
    outcomes: list[TestOutcome] = []

    def note(outcome: TestOutcome) -> None:
        outcomes.append(replace(outcome, required=outcome.name in tests.required))
        report(outcomes[-1])

    name = tests.service.name.replace("-", "_")
    with throwaway_services(name, tests.service.mounts, tests.service.user) as services:
        client = docker.DockerClient(base_url=tests.docker, timeout=round(_TIME_LIMIT) + 60)
        try:
            with _stand_in(tests, client, services) as (containers, service):
                containers.fetch(tests.image)
                if _suites(tests, client, containers, services, note):
                    for outcome in black_box.try_out(containers, service, tests.image, _expectation(tests)):
                        note(outcome)
        except DockerException as error:
            raise OutsideSystemError("the engine failed during the tests", detail=str(error)) from error
        finally:
            client.close()
    missing = [each for each in tests.required if each not in {outcome.name for outcome in outcomes}]
    for each in missing:
        note(TestOutcome(each, TestStatus.NOT_RUN, detail="the migrations before it failed"))
    return tuple(outcomes)


def _suites(
    tests: ServiceTests, client: docker.DockerClient, containers: Containers, services: ThrowawayServices, note: Report
) -> bool:
    """Run the unit tests beside the migrations and the integration tests; tell whether the database is ready."""
    with ThreadPoolExecutor(1, "unit-tests") as beside:
        unit = beside.submit(_suite, "unit", tests.unit, tests, client, containers, services)
        prepared = _migrate(client, tests, services)
        note(prepared)
        ready = prepared.status is TestStatus.PASSED
        if ready:
            note(_suite("integration", tests.integration, tests, client, containers, services))
        note(unit.result())
    return ready


def _expectation(tests: ServiceTests) -> black_box.Expectation:
    return black_box.Expectation(
        profile=tests.profile or plain_profile(tests.service.health),
        seconds=tests.load_seconds,
        p95_ms=tests.p95_ms,
        requests_per_minute=tests.requests_per_minute,
        error_share=tests.error_share,
    )


@contextmanager
def _stand_in(
    tests: ServiceTests, client: docker.DockerClient, services: ThrowawayServices
) -> Iterator[tuple[Containers, ServiceSpec]]:
    """Make a place like the environment's, with a network and containers of its own."""
    name = f"coffer-tests-{uuid.uuid4().hex[:12]}"
    values = {variable: _value(variable, secret, services) for variable, secret in tests.service.secrets.items()}
    references = {variable: SecretReference(f"env:{variable}") for variable in values}
    service = replace(tests.service, environment=name, secrets=references)
    user, password = tests.credentials or ("", "")
    settings = DockerHostSettings(
        docker=tests.docker,
        network=name,
        directory=services.directory,
        haproxy_socket=services.directory / "none",
        registry_username=user,
        registry_password=password,
        labels={"coffer.tests": name},
        cpu_shares=_CPU_SHARES,
    )
    network = client.networks.create(name, labels={"coffer.tests": name})
    try:
        yield Containers(settings, lambda reference: values[reference.removeprefix("env:")]), service
    finally:
        for container in client.containers.list(all=True, filters={"label": f"coffer.tests={name}"}):
            container.remove(force=True, v=True)
        network.remove()


def _value(variable: str, secret: SecretReference, services: ThrowawayServices) -> str:
    """Return what stands in for a secret: a throw-away service, else a value that opens nothing."""
    about = f"{variable} {secret.reference}".lower()
    if "database" in about or "postgres" in about:
        return services.database_url
    return services.redis_url if "redis" in about else uuid.uuid4().hex


def _migrate(client: docker.DockerClient, tests: ServiceTests, services: ThrowawayServices) -> TestOutcome:
    started = time.monotonic()
    if not tests.service.migrations:
        return TestOutcome("migrations", TestStatus.PASSED, detail="the image has none")
    try:
        files = migrations.read(client, tests.image, tests.service.migrations)
        wanted = migrations.describe(files)
        applied = migrations.apply(services.conninfo, files, wanted)
        again = migrations.apply(services.conninfo, files, wanted)
    except CofferError as error:
        return TestOutcome("migrations", TestStatus.FAILED, detail=str(error), seconds=time.monotonic() - started)
    status = TestStatus.FAILED if again else TestStatus.PASSED
    detail = f"{len(applied)} applied to an empty database"
    return TestOutcome("migrations", status, detail=detail, seconds=time.monotonic() - started)


def _suite(
    name: str,
    command: tuple[str, ...],
    tests: ServiceTests,
    client: docker.DockerClient,
    containers: Containers,
    services: ThrowawayServices,
) -> TestOutcome:
    if tests.tests_image is None or not command:
        return TestOutcome(name, TestStatus.NOT_RUN, detail="the image came without the stage that can run it")
    containers.fetch(tests.tests_image)
    started = time.monotonic()
    container: Any = client.containers.create(
        str(tests.tests_image), command=list(command), **_options(tests.service, services)
    )
    try:
        container.start()
        code = _wait(container)
        log = container.logs(tail=_LOG_LINES).decode(errors="replace").strip()
    finally:
        container.remove(force=True, v=True)
    seconds = time.monotonic() - started
    if code == 0:
        return TestOutcome(name, TestStatus.PASSED, seconds=seconds)
    why = f"took longer than {_TIME_LIMIT:g} s" if code is None else f"ended with {code}"
    return TestOutcome(name, TestStatus.FAILED, detail=f"{why}: {log}", seconds=seconds)


def _options(service: ServiceSpec, services: ThrowawayServices) -> dict[str, Any]:
    """Return how the service's own tests run: without a network, as its own account, beside the throw-away services."""
    secrets = {name: _value(name, secret, services) for name, secret in service.secrets.items()}
    return {
        "user": f"{service.user}:{service.user}",
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": "2g",
        "cpu_shares": _CPU_SHARES,
        "pids_limit": 512,
        # npm and the like want a home to write to.
        "environment": {**secrets, "HOME": "/tmp", "CI": "true"},  # noqa: S108 — in the container
        "mounts": [
            Mount(inside, str(services.directory / outside.partition(":")[0]), type="bind", read_only=":" in outside)
            for inside, outside in service.mounts.items()
        ],
        "labels": {"coffer.tests": services.directory.name},
    }


def _wait(container: Any) -> int | None:  # noqa: ANN401 — the SDK has no types of its own
    deadline = time.monotonic() + _TIME_LIMIT
    while time.monotonic() < deadline:
        container.reload()
        if container.status == "exited":
            return int(container.attrs["State"]["ExitCode"])
        time.sleep(0.2)
    return None
