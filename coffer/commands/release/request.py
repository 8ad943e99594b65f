"""What all release commands check first, before anything is touched."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import click

from coffer import environments
from coffer.environments import Environment
from coffer.errors import UsageError
from coffer.release.images import ImageReference

environment_option = click.option("--environment", required=True, metavar="ENV", help="Name of an environment file.")
optional_environment = click.option("--environment", default="", metavar="ENV", help="Name of an environment file.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")
wait_option = click.option("--wait", is_flag=True, help="Show each state until it ends, or waits for approval.")
timeout_option = click.option("--timeout", default=3600.0, show_default=True, help="Seconds that --wait lasts at most.")


def checked(environment: str, image: str) -> tuple[Environment, ImageReference]:
    """Return the environment and the image that a release is asked for.

    Raises:
        UsageError: No such environment, a tag instead of a digest, or an image of another service.
    """
    found = environments.load(environment)
    reference = ImageReference.parse(image)
    if reference.repository != found.service.image:
        raise UsageError(
            f"{reference.repository} is not what {found.name} runs",
            detail=f"its file says image = '{found.service.image}'",
            resolution=f"Use {found.service.image}@{reference.digest}, or change the file",
        )
    return found, reference


def idempotency_key(environment: str, image: ImageReference, attempt: int) -> str:
    """Return what makes two requests the same: settled.md 21.

    After a rollback only a person raises the attempt; no event ever brings a digest back.
    """
    return str(uuid5(NAMESPACE_URL, f"coffer.release/{environment}/{image.repository}@{image.digest}/{attempt}"))
