"""The Docker Engine of this machine, and the promise that a test leaves nothing of its own in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import docker
import docker.errors
import pytest

SOCKET = "unix:///var/run/docker.sock"
LABEL = "coffer.test"


class DockerEngine:
    """Gives a client; what carries the label `coffer.test=TOPIC` is gone when the `with` block ends.

    `labels` is what a test puts on its containers and networks.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.labels = {LABEL: topic}
        self.client = docker.DockerClient(base_url=SOCKET, timeout=60)

    def __enter__(self) -> Self:
        self.client.ping()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clean()
        self.client.close()

    def clean(self) -> None:
        """Remove every labelled container, whatever its state, then every labelled network."""
        mine = {"label": f"{LABEL}={self.topic}"}
        for container in self.client.containers.list(all=True, filters=mine):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        for network in self.client.networks.list(filters=mine):
            with contextlib.suppress(docker.errors.NotFound):
                network.remove()


@pytest.fixture
def docker_engine(request: pytest.FixtureRequest) -> Iterator[DockerEngine]:
    """An engine whose topic is the name of the test's module."""
    with DockerEngine(request.module.__name__.rpartition(".")[2]) as engine:
        yield engine
