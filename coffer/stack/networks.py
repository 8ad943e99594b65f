"""The stack's Docker networks and the containers that belong to it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import docker
import docker.errors

from coffer.errors import OutsideSystemError
from coffer.stack.layout import ENVIRONMENTS

STACK_LABEL = "coffer.stack"
_MANAGED = "coffer.managed"
_BUILT_IN = {"bridge", "none", "host"}


def network_name(environment: str, offset: int) -> str:
    """Return the name of an environment's network: two stacks side by side have networks of their own."""
    return f"coffer-{environment}" + (f"-{offset}" if offset else "")


def ensure_networks(client: docker.DockerClient, state: Path, offset: int) -> None:
    """Make a network an environment, or find it made.

    Raises:
        OutsideSystemError: The engine refused.
    """
    try:
        present = {network.name for network in client.networks.list()}
        for environment in ENVIRONMENTS:
            if (name := network_name(environment, offset)) not in present:
                client.networks.create(name, driver="bridge", labels={STACK_LABEL: str(state)})
    except docker.errors.APIError as error:
        raise OutsideSystemError("Docker did not make the networks", detail=str(error.explanation or error)) from error


def remove_all(client: docker.DockerClient, state: Path, offset: int) -> list[str]:
    """Remove this stack's containers, whatever their state, then its networks.

    Returns:
        The names of what was removed.

    Raises:
        OutsideSystemError: The engine refused.
    """
    removed = []
    networks = {network_name(environment, offset) for environment in ENVIRONMENTS}
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            if belongs(container, networks, state, alone=offset == 0):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
                removed.append(f"container {container.name}")
        for network in client.networks.list():
            if network.name in networks:
                network.remove()
                removed.append(f"network {network.name}")
    except docker.errors.APIError as error:
        raise OutsideSystemError("Docker did not let go", detail=str(error.explanation or error)) from error
    return removed


def belongs(container: Any, networks: set[str], state: Path, *, alone: bool) -> bool:  # noqa: ANN401 - the SDK is untyped
    """Tell whether a container is this stack's: in its network, mounting its folders, or carrying its label.

    Args:
        container: One of the engine's.
        networks: Names of the stack's networks.
        state: The stack's state folder.
        alone: This is the main stack: what we manage and what is tied to no network or folder of others is its.
    """
    attached = set(container.attrs["NetworkSettings"]["Networks"])
    mounted = [Path(mount["Source"]) for mount in container.attrs.get("Mounts", []) if mount.get("Type") == "bind"]
    if attached & networks or container.labels.get(STACK_LABEL) == str(state):
        return True
    if _MANAGED not in container.labels:
        return False
    return any(state in path.parents for path in mounted) or (alone and attached <= _BUILT_IN and not mounted)
