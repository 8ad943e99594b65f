"""The service's own tests, and ours from outside, on services made for the test."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.environments import facts
from coffer.processes import background
from coffer.release.images import ImageReference
from coffer.release.outcomes import TestOutcome
from coffer.targets.registry import Registry, address_of
from tasks import artifacts, hosts
from tasks.policies import remembered


@remembered("test")
def test(environment: str, image: ImageReference) -> tuple[TestOutcome, ...]:
    """Run every test of an image; a test that fails is an outcome, and the gate decides.

    Raises:
        NotThere: The registry does not have the image.
        OutsideSystemError: The engine or a throw-away service failed: nothing is known of the image.
    """
    # Here, not above: a run that goes on after its approval starts a second sooner without them.
    from coffer.targets.load import load_profile
    from coffer.targets.service_tests import ServiceTests, find_tests_image, run_tests

    settings, logger = environments.load(environment), get_run_logger()
    credentials, wanted = hosts.registry_credentials(settings), settings.tests
    user, password = credentials or ("", "")
    with Registry(address_of(image.repository), username=user, password=password) as registry:
        tests_image = find_tests_image(registry, image)
    tests = ServiceTests(
        docker=str(hosts.docker_host(settings)["docker"]),
        image=image,
        tests_image=tests_image,
        service=facts.service_spec(settings),
        required=wanted.required,
        profile=load_profile(facts.beside(settings, wanted.profile)) if wanted.profile else None,
        load_seconds=wanted.load.total_seconds(),
        p95_ms=wanted.p95.total_seconds() * 1000,
        requests_per_minute=wanted.requests_per_minute,
        error_share=wanted.error_share,
        credentials=credentials,
    )
    with background():
        outcomes = run_tests(tests, report=lambda one: logger.info("%s %s %s", one.name, one.status, one.detail))
    rows = [
        {
            "test": outcome.name,
            "": outcome.status,
            "needed": "yes" if outcome.required else "no",
            "seconds": f"{outcome.seconds:.1f}",
            "measured": ", ".join(f"{name} {value:g}" for name, value in outcome.figures.items()),
            "said": outcome.detail[-600:],
        }
        for outcome in outcomes
    ]
    artifacts.table("tests", rows, "What the tests said")
    return outcomes
