"""Connections that tasks open from an environment's references."""

from __future__ import annotations

from collections.abc import Mapping

import docker
from docker.errors import DockerException

from coffer.environments import Environment
from coffer.environments.references import resolve_mapping
from coffer.errors import Unreachable, UsageError


def docker_host(environment: Environment) -> Mapping[str, object]:
    """Return the fields of the environment's first host.

    Raises:
        NotThere: Its reference names nothing.
    """
    return resolve_mapping(environment.target.hosts[0])


def engine(environment: Environment) -> docker.DockerClient:
    """Connect to the engine of the environment's first host.

    Raises:
        Unreachable: No engine answers there.
    """
    address = docker_host(environment).get("docker")
    if not isinstance(address, str):
        raise UsageError(f"{environment.target.hosts[0]} has no 'docker' address")
    try:
        return docker.DockerClient(base_url=address, timeout=120)
    except DockerException as error:
        raise Unreachable("no Docker engine answers", detail=f"{address}: {error}") from error


def registry_credentials(environment: Environment) -> tuple[str, str] | None:
    """Return user and password of the registry, or None where it asks for none."""
    fields = resolve_mapping(environment.release.registry)
    user, password = str(fields.get("username") or ""), str(fields.get("password") or "")
    return (user, password) if user else None
