"""Builds an image by the Docker Engine, pushes it, and from there on knows it by digest only."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils.build import exclude_paths

from coffer.errors import IntegrityError, OutsideSystemError, UsageError
from coffer.release.images import ImageReference
from coffer.targets.registry import Registry, address_of, artifact_tag

_NAMESPACE = uuid.UUID("6f1f3c2e-6a3b-5d0e-9a51-0d2f4c1f7c11")
_TAIL_LINES = 40
TESTS = "tests"
"""Kind under which the stage that can run the unit tests is attached to the image."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BuiltImage:
    """What a build left in the registry.

    Attributes:
        reference: The image that is released.
        tests_reference: The stage with sources and test tools; None where none was asked for.
        seconds: How long building and pushing took.
        log_tail: Last lines of the build.
    """

    reference: ImageReference
    tests_reference: ImageReference | None
    seconds: float
    log_tail: str


def build_and_push(
    client: docker.DockerClient,
    source: Path,
    repository: str,
    *,
    build_args: Mapping[str, str],
    target: str | None = None,
    tests_target: str | None = "builder",
    labels: Mapping[str, str],
    progress: Progress = lambda _line: None,
    credentials: tuple[str, str] | None = None,
) -> BuiltImage:
    """Build a folder, push it, and confirm that the registry has it.

    The tag is only the vehicle of the push. It derives from what is built, so a retry makes the same one.

    Args:
        client: The engine that builds.
        source: Folder with a `Dockerfile`; its `.dockerignore` is honoured.
        repository: Registry address and name.
        build_args: Values for `ARG`; visible in the image, so never a secret.
        target: Stage to release; the last one if None.
        tests_target: Stage that can run the tests; None for none.
        labels: Labels of the released image.
        progress: Gets each line.
        credentials: User and password of the registry.

    Raises:
        UsageError: There is no Dockerfile.
        OutsideSystemError: The build or the push failed; the detail has the last lines.
        IntegrityError: The registry has other bytes than what was pushed.
    """
    if not (source / "Dockerfile").is_file():
        raise UsageError(f"there is no Dockerfile in {source}")
    started = time.monotonic()
    log: deque[str] = deque(maxlen=_TAIL_LINES)

    def tell(line: str) -> None:
        log.append(line)
        progress(line)

    user, password = credentials or ("", "")
    with Registry(address_of(repository), username=user, password=password) as registry:
        tag = build_tag(source, repository, build_args, target)
        _build(client, source, f"{repository}:{tag}", build_args, target, labels, tell)
        image = _push(client, registry, repository, tag, credentials, tell)
        tests = None
        if tests_target is not None:
            tag = artifact_tag(image, TESTS)
            _build(client, source, f"{repository}:{tag}", build_args, tests_target, {}, tell)
            tests = _push(client, registry, repository, tag, credentials, tell)
    return BuiltImage(image, tests, time.monotonic() - started, "\n".join(log))


def build_tag(source: Path, repository: str, build_args: Mapping[str, str], target: str | None) -> str:
    """Return the tag of a push; it derives from what is built, so that a retry makes the same one."""
    request = (repository, context_digest(source), repr(sorted(build_args.items())), target or "")
    return f"build-{uuid.uuid5(_NAMESPACE, '|'.join(request))}"


def context_digest(source: Path) -> str:
    """Return a digest over the files that the engine gets: names, permission to execute, and content."""
    ignore = source / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    wanted = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    digest = hashlib.sha256()
    for name in sorted(exclude_paths(str(source), wanted)):
        path = source / name
        if path.is_symlink():
            digest.update(f"{name}\0l\0{path.readlink()}\0".encode())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{name}\0{path.stat().st_mode & 0o111}\0{content}\0".encode())
    return digest.hexdigest()


def _build(
    client: docker.DockerClient,
    source: Path,
    name: str,
    build_args: Mapping[str, str],
    target: str | None,
    labels: Mapping[str, str],
    tell: Progress,
) -> None:
    tell(f"building {name}")
    try:
        # Host network: a build behind a proxy of this machine reaches it as this machine does.
        stream = client.api.build(
            path=str(source),
            tag=name,
            buildargs=dict(build_args),
            target=target,
            labels=dict(labels),
            network_mode="host",
            # Beside a service that serves, a build is the one that waits (a container has 1024 shares).
            container_limits={"cpushares": 128},
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(stream, f"building {source.name}", tell)
    except DockerException as error:
        raise OutsideSystemError(f"the engine does not build {source.name}", detail=str(error)) from error


def _push(
    client: docker.DockerClient,
    registry: Registry,
    repository: str,
    tag: str,
    credentials: tuple[str, str] | None,
    tell: Progress,
) -> ImageReference:
    tell(f"pushing {repository}:{tag}")
    auth = {"username": credentials[0], "password": credentials[1]} if credentials else None
    try:
        stream = client.images.push(repository, tag, stream=True, decode=True, auth_config=auth)
        pushed = _follow(stream, f"pushing {repository}", tell)
    except DockerException as error:
        raise OutsideSystemError(f"the engine does not push {repository}", detail=str(error)) from error
    if pushed is None:
        raise OutsideSystemError(f"the push of {repository}:{tag} named no digest")
    reference = ImageReference(repository, pushed)
    if not registry.exists(reference):
        raise IntegrityError(f"the registry does not have what was pushed to {repository}", detail=pushed)
    return reference


def _follow(stream: Iterable[dict[str, Any]], what: str, tell: Progress) -> str | None:
    """Read the engine's answer to its end; return the digest that a push names."""
    digest = None
    seen: deque[str] = deque(maxlen=_TAIL_LINES)
    for message in stream:
        if "error" in message:
            tail = "\n".join([*list(seen)[-12:], str(message["error"])])
            raise OutsideSystemError(f"{what} failed", detail=tail)
        digest = (message.get("aux") or {}).get("Digest", digest)
        line = str(message.get("stream") or "").rstrip()
        if line:
            seen.append(line)
            tell(line)
    return digest
