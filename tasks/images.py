"""Images: built and pushed, or found; from then on only the digest is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger

from coffer import environments
from coffer.errors import NotThere
from coffer.release.images import ImageReference
from coffer.targets.image_builder import build_and_push
from coffer.targets.registry import Registry, address_of
from tasks import artifacts, hosts
from tasks.policies import remembered


@remembered("build and push")
def build(environment: str, source: str, arguments: Mapping[str, str]) -> ImageReference:
    """Build a folder with the engine of the environment, push it, and return its digest.

    Raises:
        OutsideSystemError: The build or the push failed; its last lines are quoted.
    """
    settings = environments.load(environment)
    built = build_and_push(
        hosts.engine(settings),
        Path(source),
        settings.service.image,
        build_args=arguments,
        labels={"coffer.service": settings.service.name},
        progress=get_run_logger().debug,
        credentials=hosts.registry_credentials(settings),
    )
    artifacts.table(
        "image",
        [{"image": built.reference, "tests": built.tests_reference, "seconds": f"{built.seconds:.1f}"}],
        "The image of this release",
    )
    return built.reference


@remembered("confirm image")
def confirm(environment: str, image: str) -> ImageReference:
    """Return a digest that the registry has.

    Raises:
        NotThere: It has not.
    """
    settings, reference = environments.load(environment), ImageReference.parse(image)
    user, password = hosts.registry_credentials(settings) or ("", "")
    with Registry(address_of(reference.repository), username=user, password=password) as registry:
        if not registry.exists(reference):
            raise NotThere(f"the registry has no {reference}")
    artifacts.table("image", [{"image": reference}], "The image of this release")
    return reference
