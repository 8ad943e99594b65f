"""A push to a real registry starts one run in a real Prefect server; a forged notification starts nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import httpx
import pytest

from coffer.prefect_api import FlowRun
from tests.services.prefect_server import end, start
from tests.services.prefect_world import SECRET, PrefectWorld, prefect_world

__all__ = ["prefect_world"]
_WITHIN = 60.0


class Receiver:
    """`python -m coffer.receivers`, as the stack starts it."""

    def __init__(self, world: PrefectWorld, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{world.receiver_port}"
        self.secret_file = directory / "secret"
        self.secret_file.write_text(SECRET + "\n")
        self.log = directory / "receiver.log"
        self.environment = {
            **world.environment,
            "COFFER_RECEIVER_PORT": str(world.receiver_port),
            "COFFER_RECEIVER_SECRET_FILE": str(self.secret_file),
            "COFFER_RECEIVER_REGISTRY": world.registry.address,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = start([sys.executable, "-m", "coffer.receivers"], self.environment, self.log)
        deadline = time.monotonic() + _WITHIN
        while True:
            try:
                httpx.get(f"{self.url}/health", trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        assert self._process
        end(self._process)

    def knock(self, notification: dict[str, object], secret: str = SECRET) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.post(f"{self.url}/registry", json=notification, headers=headers, trust_env=False).status_code


@pytest.fixture(scope="module")
def receiver(prefect_world: PrefectWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    receiver = Receiver(prefect_world, tmp_path_factory.mktemp("receiver"))
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def push(engine: docker.DockerClient, world: PrefectWorld, *tags: str, content: bytes = b"") -> str:
    """Push an image with one small file under tags; return its digest."""
    archive, data = io.BytesIO(), content or os.urandom(16)
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    digest = ""
    image = engine.images.get(
        _identity(engine.api.import_image_from_data(archive.getvalue(), repository=f"{world.image}-source"))
    )
    try:
        for tag in tags:
            image.tag(world.image, tag)
            for line in engine.images.push(world.image, tag, stream=True, decode=True):
                assert "error" not in line, line
                digest = (line.get("aux") or {}).get("Digest") or digest
    finally:
        engine.images.remove(image.id, force=True)
    assert digest.startswith("sha256:")
    return digest


def _identity(said: str) -> str:
    return said[said.index("sha256:") : said.index("sha256:") + 71]


def runs_of(world: PrefectWorld, digest: str) -> list[FlowRun]:
    return world.api.runs(flow="release", parameters={"image": f"{world.image}@{digest}"}, limit=200)


def wait_for_run(world: PrefectWorld, digest: str) -> tuple[FlowRun, float]:
    began = time.monotonic()
    while not (found := runs_of(world, digest)):
        assert time.monotonic() - began < _WITHIN, f"no run of {digest}"
        time.sleep(0.2)
    assert len(found) == 1
    return found[0], time.monotonic() - began


def everything_before_has_been_seen(world: PrefectWorld, engine: docker.DockerClient) -> None:
    """Events are handled in order: once a later push has its run, an earlier one would have had its own."""
    wait_for_run(world, push(engine, world, f"main-{uuid4().hex[:8]}"))


def notification(world: PrefectWorld, digest: str, tag: str) -> dict[str, object]:
    target = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "digest": digest,
        "repository": "creditai",
        "tag": tag,
    }
    return {"events": [{"action": "push", "target": target, "request": {"host": world.registry.address}}]}


def test_a_push_starts_a_run_within_seconds(
    prefect_world: PrefectWorld, receiver: Receiver, engine: docker.DockerClient
) -> None:
    digest = push(engine, prefect_world, "main-1")
    run, _seconds = wait_for_run(prefect_world, digest)
    assert run.parameters["environment"] == "production"
    assert run.parameters["tag"] == "main-1"
    assert run.parameters["image"] == f"{prefect_world.image}@{digest}"
    deployment = prefect_world.api.deployment("release/on-image-push")
    assert run.deployment == deployment["id"]


def test_told_three_times_it_starts_one_run(
    prefect_world: PrefectWorld, receiver: Receiver, engine: docker.DockerClient
) -> None:
    digest = push(engine, prefect_world, "main-2")
    wait_for_run(prefect_world, digest)
    for _ in range(3):
        assert receiver.knock(notification(prefect_world, digest, "main-2")) == 200
    everything_before_has_been_seen(prefect_world, engine)
    assert len(runs_of(prefect_world, digest)) == 1


def test_a_forged_notification_starts_nothing(
    prefect_world: PrefectWorld, receiver: Receiver, engine: docker.DockerClient
) -> None:
    digest = "sha256:" + uuid4().hex * 2
    for secret in ("-", "guessed", SECRET + "x"):
        assert receiver.knock(notification(prefect_world, digest, "main-3"), secret) == 401
    everything_before_has_been_seen(prefect_world, engine)
    assert runs_of(prefect_world, digest) == []


def test_only_named_tags_start_a_release_in_whatever_order_they_come(
    prefect_world: PrefectWorld, receiver: Receiver, engine: docker.DockerClient
) -> None:
    ignored = push(engine, prefect_world, "latest", "build-7", "experiment")
    both = push(engine, prefect_world, "latest", "v4")
    run, _ = wait_for_run(prefect_world, both)
    assert run.parameters["tag"] == "v4"
    everything_before_has_been_seen(prefect_world, engine)
    assert runs_of(prefect_world, ignored) == []


def test_what_is_pushed_while_the_receiver_is_away_is_not_lost(
    prefect_world: PrefectWorld, receiver: Receiver, engine: docker.DockerClient
) -> None:
    receiver.stop()
    digest = push(engine, prefect_world, "main-5")
    receiver.start()
    wait_for_run(prefect_world, digest)


def test_without_its_secret_the_receiver_does_not_open(receiver: Receiver, tmp_path: Path) -> None:
    for secret_file, said in ((tmp_path / "none", "cannot be read"), (tmp_path / "empty", "secret is empty")):
        (tmp_path / "empty").write_text("\n")
        done = subprocess.run(
            [sys.executable, "-m", "coffer.receivers"],
            env={**os.environ, **receiver.environment, "COFFER_RECEIVER_SECRET_FILE": str(secret_file)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
