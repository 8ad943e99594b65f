"""Makes a bare host ready for what comes back: folders, the containers' network, HAProxy. Only what is missing."""

from __future__ import annotations

import pwd
import socket

import docker
import docker.errors
import requests

from coffer.environments import Environment
from coffer.errors import Unreachable
from coffer.processes import run
from coffer.recovery.recover_place import RecoveryPlace
from coffer.targets.docker_host import files
from coffer.targets.docker_host.edge import EdgeSettings, render
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.docker_host.waiting import wait_until

_HAPROXY = ("haproxy/haproxy.cfg", "haproxy/active.map")
_START_SECONDS = 20.0


def prepare_host(environment: Environment, place: RecoveryPlace, settings: DockerHostSettings) -> str:
    """Make what is missing; return what that was.

    Raises:
        Unreachable: There is no Docker Engine.
        OutsideSystemError: HAProxy is not installed or does not start.
    """
    made = []
    for folder in (place.directory, place.directory / "sockets", place.redis_sockets):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    if _ensure_network(settings):
        made.append(f"network {settings.network}")
    if not _answers(settings):
        _start_haproxy(environment, settings)
        made.append(f"HAProxy at {settings.front_socket}")
    return ", ".join(made) or "everything was there"


def _ensure_network(settings: DockerHostSettings) -> bool:
    try:
        client = docker.DockerClient(base_url=settings.docker, timeout=60)
        if client.networks.list(names=[settings.network]):
            return False
        client.networks.create(settings.network, driver="bridge", labels=dict(settings.labels))
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise Unreachable("there is no Docker Engine", detail=f"{settings.docker}: {error}") from error
    return True


def _start_haproxy(environment: Environment, settings: DockerHostSettings) -> None:
    folder = settings.directory / "haproxy"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    edge = EdgeSettings(
        service=environment.service.name,
        directory=settings.directory,
        https_port=443,
        http_port=80,
        certificate=folder / "none",  # NGINX's; only HAProxy's files are taken from here
        certificate_key=folder / "none",
        health=environment.service.health,
        proxy_account="haproxy" if _exists("haproxy") else "",
    )
    for name, text in render(edge).items():
        if name in _HAPROXY and not (settings.directory / name).exists():
            files.replace(settings.directory / name, text)
    pid = folder / "haproxy.pid"
    run(["haproxy", "-W", "-D", "-f", settings.proxy_file, "-p", pid], timeout=_START_SECONDS)
    wait_until(
        lambda: None if _answers(settings) else "its socket does not answer", within=_START_SECONDS, what="HAProxy"
    )


def _answers(settings: DockerHostSettings) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(settings.haproxy_socket)) == 0


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
