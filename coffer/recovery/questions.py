"""The service's own questions, asked with the image that ran, cut off from every network."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from coffer.errors import OutsideSystemError, StepFailed, Unreachable
from coffer.processes import redact

_LABEL = "coffer.drill"
_CPU_PERIOD = 1_000_000_000


@dataclass(frozen=True)
class Questions:
    """How a service is asked whether its data agrees with itself.

    Attributes:
        image: Image by digest; empty until it is known which one ran.
        command: Program in it; prints `{"ok": …, "questions": [{"name", "ok", "detail"}], "facts": {…}}`.
        database: Name of its database.
        role: Role it connects as.
        variables: Plain settings it needs.
        database_variable: Variable that takes the database's URL.
        sockets: Where the folder of PostgreSQL's socket goes in the container.
        uploads: Where the files go in the container; empty for none.
        redis_sockets: Where the folder of Redis's socket goes in the container.
        redis_variable: Variable that takes Redis's URL.
        user: Numeric account in the container.
        memory: Limit, as Docker writes it.
        docker: Address of the engine.
        timeout: Seconds.
    """

    image: str
    command: tuple[str, ...]
    database: str
    role: str
    variables: Mapping[str, str] = field(default_factory=dict)
    database_variable: str = "DATABASE_URL"
    sockets: str = "/run/postgres"
    uploads: str = "/data/uploads"
    redis_sockets: str = "/run/redis"
    redis_variable: str = "REDIS_URL"
    user: int = 1001
    memory: str = "512m"
    docker: str = "unix:///var/run/docker.sock"
    timeout: float = 120


@dataclass(frozen=True)
class Answer:
    """What the service said.

    Attributes:
        ok: All is well.
        questions: Each question with `name`, `ok` and `detail`.
        facts: Numbers it told.
    """

    ok: bool
    questions: list[dict[str, Any]]
    facts: dict[str, Any]

    @property
    def wrong(self) -> list[str]:
        """Return the questions answered with no."""
        return [f"{one.get('name')}: {one.get('detail')}" for one in self.questions if not one.get("ok")]


def ask(
    questions: Questions, *, sockets: Path, port: int, password: str, uploads: Path | None, redis: Path | None = None
) -> Answer:
    """Run the command on restored data, in a container without a network, and read its answer.

    Args:
        questions: What to run.
        sockets: Folder with the cluster's socket.
        port: Port in the socket's name.
        password: The role's, of this drill alone.
        uploads: Restored files, mounted read-only.
        redis: Folder with the socket `redis.sock` of a restored Redis; None: sessions are not asked about.

    Raises:
        Unreachable: There is no Docker Engine.
        OutsideSystemError: The image is not there.
        StepFailed: The command gave no answer.
    """
    variables = dict(questions.variables)
    variables[questions.database_variable] = (
        f"postgresql://{questions.role}:{password}@/{questions.database}?host={questions.sockets}&port={port}"
    )
    mounts = {str(sockets): {"bind": questions.sockets, "mode": "ro"}}
    if uploads is not None and questions.uploads:
        mounts[str(uploads)] = {"bind": questions.uploads, "mode": "ro"}
    if redis is not None:
        mounts[str(redis)] = {"bind": questions.redis_sockets, "mode": "ro"}
        variables[questions.redis_variable] = f"unix://{questions.redis_sockets}/redis.sock"
    return ask_with(questions, variables=variables, mounts=mounts, secrets=[password])


def ask_with(
    questions: Questions,
    *,
    variables: Mapping[str, str],
    mounts: Mapping[str, Mapping[str, str]],
    secrets: Iterable[str],
) -> Answer:
    """Run the command with these variables and mounts and read its answer; raises as `ask` does.

    Args:
        questions: What to run.
        variables: All of the container's variables.
        mounts: Folder of this host: `bind` and `mode`, as Docker takes them.
        secrets: What must not appear in an error.
    """
    with _engine(questions.docker) as client, _container(client, questions, variables, mounts) as container:
        container.start()
        _wait(container, questions.timeout)
        said = container.logs(stdout=True, stderr=False).decode(errors="replace").strip()
        complained = container.logs(stdout=False, stderr=True, tail=20).decode(errors="replace").strip()
    return _read(said, redact(complained, secrets))


def _wait(container: Any, timeout: float) -> None:  # noqa: ANN401 - the SDK has no types
    deadline = time.monotonic() + timeout
    try:
        container.wait(timeout=max(1, deadline - time.monotonic()))
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
        raise StepFailed(f"the service's questions took longer than {timeout:g} s") from error


def _read(said: str, complained: str) -> Answer:
    last = said.splitlines()[-1] if said else ""
    try:
        document = json.loads(last)
        answer = Answer(bool(document["ok"]), list(document.get("questions", [])), dict(document.get("facts", {})))
    except (ValueError, KeyError, TypeError):
        raise StepFailed("the service gave no answer", detail=(last or complained)[-800:]) from None
    if not answer.ok and not answer.questions:
        reason = str(document.get("error", complained))
        raise StepFailed("the service could not ask its questions", detail=reason[-800:])
    return answer


@contextlib.contextmanager
def _engine(address: str) -> Iterator[Any]:
    try:
        client = docker.DockerClient(base_url=address, timeout=60)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise Unreachable("there is no Docker Engine to ask the service with", detail=str(error)) from error
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def _container(
    client: Any,  # noqa: ANN401 - the SDK has no types
    questions: Questions,
    variables: Mapping[str, str],
    mounts: Mapping[str, Mapping[str, str]],
) -> Iterator[Any]:
    try:
        try:
            client.images.get(questions.image)
        except docker.errors.ImageNotFound:
            client.images.pull(questions.image)
        container = client.containers.create(
            questions.image,
            entrypoint=list(questions.command),
            command=[],
            environment=dict(variables),
            volumes=dict(mounts),
            user=str(questions.user),
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=questions.memory,
            nano_cpus=_CPU_PERIOD,
            tmpfs={"/tmp": "size=64m"},  # noqa: S108 - inside the container
            labels={_LABEL: "questions"},
        )
    except docker.errors.DockerException as error:
        raise OutsideSystemError("the image cannot be run", detail=f"{questions.image}: {error}") from error
    try:
        yield container
    finally:
        container.remove(force=True, v=True)
