"""The place where a service runs, opened from its environment."""

from __future__ import annotations

from coffer.environments import Environment
from coffer.environments.references import resolve_text
from coffer.errors import UsageError
from coffer.release.service import ServiceSpec
from coffer.targets.docker_host import DockerHost
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.protocol import Target
from tasks import hosts


def open_target(environment: Environment) -> Target:
    """Connect to the environment's host.

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
    return DockerHost(settings, secrets=lambda service: secret_values(environment, service))


def secret_values(environment: Environment, service: ServiceSpec) -> dict[str, str]:
    """Resolve the service's secrets, at the last moment and for the container only."""
    return {name: resolve_text(reference.reference) for name, reference in service.secrets.items()}
