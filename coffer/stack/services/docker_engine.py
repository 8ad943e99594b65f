"""Docker Engine: the one that runs already, or one of ours."""

from __future__ import annotations

import os
from pathlib import Path

import docker
import docker.errors

from coffer.errors import NotAllowed
from coffer.stack.service import Service

ADDRESS = "unix:///var/run/docker.sock"
_SOCKET = Path("/var/run/docker.sock")


def client() -> docker.DockerClient:
    """Return a client of this machine's engine."""
    return docker.DockerClient(base_url=ADDRESS, timeout=60)


def not_answering() -> str | None:
    """Return None when the engine answers, else why not."""
    try:
        engine = client()
        engine.ping()
        engine.close()
    except (docker.errors.DockerException, OSError) as error:
        return f"{ADDRESS}: {error}"
    return None


def refuse_without_rights() -> None:
    """Check that we may use the engine's socket, if there is one.

    Raises:
        NotAllowed: The socket belongs to others.
    """
    if _SOCKET.exists() and not os.access(_SOCKET, os.R_OK | os.W_OK):
        raise NotAllowed(
            "this account may not use Docker",
            detail=f"{_SOCKET} belongs to others",
            resolution="Add the account to the group docker (sudo usermod -aG docker $USER) and log in again",
        )


def dockerd(run_directory: Path) -> Service:
    """Return an engine of our own, for a machine where none is running.

    It is Debian's, with Debian's folders, so that its images outlive it and a later engine of the system finds them.
    """
    return Service(
        name="dockerd",
        argv=("dockerd", "--host", ADDRESS, "--pidfile", str(run_directory / "dockerd.pid")),
        ready=not_answering,
        address=ADDRESS,
        stop_seconds=40,
        start_seconds=60,
    )
