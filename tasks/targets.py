"""The place where a service runs, opened from its environment."""

from __future__ import annotations

from coffer.environments import Environment
from coffer.environments.references import resolve_text
from coffer.errors import UsageError
from coffer.targets.docker_host.host import DockerHost
from coffer.targets.docker_host.settings import DockerHostSettings
from tasks import hosts


def open_target(environment: Environment) -> DockerHost:
    """Connect to the environment's host; secrets are resolved when a container is made, and never before.

    Raises:
        UsageError: It names several hosts, which this version does not release to in one run.
        Unreachable: It does not answer.
    """
    if len(environment.target.hosts) > 1:
        raise UsageError(f"{environment.name} names several hosts", resolution="Name one host an environment")
    database = environment.release.database
    settings = DockerHostSettings.from_mapping(
        hosts.docker_host(environment), database=resolve_text(database) if database else ""
    )
    return DockerHost(settings, secrets=resolve_text)
