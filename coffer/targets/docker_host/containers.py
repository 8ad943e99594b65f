"""Instances as hardened containers: by digest, unpublished, read-only, without capabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import requests
from docker.types import LogConfig, Mount

from coffer.errors import NotThere, OutsideSystemError, Unreachable
from coffer.processes import redact
from coffer.release.images import ImageReference
from coffer.release.observed import Colour
from coffer.release.service import ServiceSpec
from coffer.targets.docker_host.settings import DockerHostSettings

_LABEL = "coffer."


@dataclass(frozen=True)
class Instance:
    """One container as the engine describes it.

    Attributes:
        running: Its process runs.
        restarting: It ended and the engine will start it again.
        exit_code: Of its last end.
        restarts: How often the engine started it again.
        address: Its address on the environment's network; empty if it does not run.
        image: `repository@sha256:…` that it was made from.
        release: Release that made it.
        settings_hash: Hash of the ServiceSpec that it was made with.
    """

    running: bool
    restarting: bool
    exit_code: int
    restarts: int
    address: str
    image: str
    release: str
    settings_hash: str


class Containers:
    """The containers of one environment on one engine."""

    def __init__(self, settings: DockerHostSettings, secrets: Callable[[str], str]) -> None:
        self._settings = settings
        self._secrets = secrets
        self.client = docker.DockerClient(base_url=settings.docker, timeout=120)

    def find(self, service: ServiceSpec, colour: Colour) -> Instance | None:
        """Return the instance at a colour, or None."""
        with _engine():
            container = self._get(service, colour)
            if container is None:
                return None
            state, labels = container.attrs["State"], container.labels
            networks = container.attrs["NetworkSettings"]["Networks"]
            return Instance(
                running=state["Running"] and not state["Restarting"],
                restarting=state["Restarting"],
                exit_code=state["ExitCode"],
                restarts=container.attrs["RestartCount"],
                address=networks.get(self._settings.network, {}).get("IPAddress", ""),
                image=labels.get(_LABEL + "image", ""),
                release=labels.get(_LABEL + "release", ""),
                settings_hash=labels.get(_LABEL + "settings", ""),
            )

    def digests(self, repository: str) -> tuple[str, ...]:
        """Return the digests of a repository that the engine has."""
        with _engine():
            # The engine's own list: the SDK's would ask for every image one by one.
            images = self.client.api.images(name=repository)
        names = {name for image in images for name in image.get("RepoDigests") or ()}
        return tuple(sorted(digest for name, _, digest in (n.partition("@") for n in names) if name == repository))

    def fetch(self, image: ImageReference) -> None:
        """Pull an image by its digest.

        Raises:
            NotThere: The registry does not have it.
        """
        account = None
        if self._settings.registry_username:
            account = {"username": self._settings.registry_username, "password": self._settings.registry_password}
        with _engine():
            try:
                self.client.images.pull(image.repository, tag=image.digest, auth_config=account)
            except docker.errors.NotFound as error:
                raise NotThere(f"the registry does not have {image}", detail=str(error.explanation)) from error

    def start(self, service: ServiceSpec, colour: Colour, image: ImageReference, release: str) -> None:
        """Make and start an instance; whatever stood at that colour goes."""
        self.remove(service, colour)
        with _engine():
            container = self.client.containers.create(
                str(image), name=self.name(service, colour), **self._hardened(service, colour, image, release)
            )
            container.start()

    def resume(self, service: ServiceSpec, colour: Colour) -> None:
        """Start a stopped instance again.

        Raises:
            NotThere: There is none.
        """
        self._require(service, colour, lambda container: container.start())

    def stop(self, service: ServiceSpec, colour: Colour) -> None:
        """Send SIGTERM, and SIGKILL after the service's time; it is not started again by itself."""
        self._require(service, colour, lambda container: container.stop(timeout=round(service.stop_within)))

    def signal(self, service: ServiceSpec, colour: Colour, name: str) -> None:
        """Send a signal to the instance's process."""
        self._require(service, colour, lambda container: container.kill(signal=name))

    def remove(self, service: ServiceSpec, colour: Colour) -> None:
        """Remove an instance, running or not."""
        with _engine():
            container = self._get(service, colour)
            if container is not None:
                container.remove(force=True, v=True)

    def log_tail(self, service: ServiceSpec, colour: Colour, lines: int = 15) -> str:
        """Return the last lines that an instance wrote, without its secrets."""
        with _engine():
            container = self._get(service, colour)
            text = container.logs(tail=lines).decode(errors="replace") if container is not None else ""
        return redact(text.strip(), self._secret_values(service).values())

    def name(self, service: ServiceSpec, colour: Colour) -> str:
        """Return the container's name: two stacks on one engine have networks, and so names, of their own."""
        return f"{service.name}-{self._settings.network.removeprefix('coffer-')}-{colour}"

    def _hardened(self, service: ServiceSpec, colour: Colour, image: ImageReference, release: str) -> dict[str, Any]:
        labels = {
            "managed": "true", "service": service.name, "environment": service.environment, "colour": str(colour),
            "image": str(image), "digest": image.digest, "release": release, "settings": service.settings_hash,
        }  # fmt: skip
        about = {"COFFER_RELEASE": release, "COFFER_IMAGE": image.digest, "PORT": str(service.port)}
        return {
            "hostname": self.name(service, colour),
            "user": f"{service.user}:{service.user}",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777"},  # noqa: S108 - in the container
            "mem_limit": service.memory,
            "nano_cpus": round(service.cpus * 1e9),
            "cpu_shares": self._settings.cpu_shares,
            "pids_limit": service.pids,
            "restart_policy": {"Name": "unless-stopped"},
            "network": self._settings.network,
            "environment": {**about, **service.settings, **self._secret_values(service)},
            "mounts": [self._mount(inside, outside) for inside, outside in service.mounts.items()],
            "labels": {**self._settings.labels, **{_LABEL + key: value for key, value in labels.items()}},
            "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": "10m", "max-file": "3"}),
        }

    def _mount(self, inside: str, outside: str) -> Mount:
        folder, _, mode = outside.partition(":")
        return Mount(inside, str(self._settings.directory / folder), type="bind", read_only=mode == "ro")

    def _secret_values(self, service: ServiceSpec) -> Mapping[str, str]:
        return {name: self._secrets(secret.reference) for name, secret in service.secrets.items()}

    def _require(self, service: ServiceSpec, colour: Colour, act: Callable[[Any], object]) -> None:
        with _engine():
            container = self._get(service, colour)
            if container is None:
                raise NotThere(f"there is no container {self.name(service, colour)}")
            act(container)

    def _get(self, service: ServiceSpec, colour: Colour) -> Any:  # noqa: ANN401 - the SDK has no types of its own
        try:
            return self.client.containers.get(self.name(service, colour))
        except docker.errors.NotFound:
            return None


@contextmanager
def _engine() -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise OutsideSystemError("the Docker engine refuses", detail=str(error.explanation or error)) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise Unreachable("the Docker engine does not answer", detail=str(error)) from error
