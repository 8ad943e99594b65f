"""Images are built, pushed, and from there on known by digest: the real engine, a real registry."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from coffer.errors import IntegrityError, NotThere, OutsideSystemError, Unreachable, UsageError
from coffer.release.images import ImageReference
from coffer.targets.image_builder import build_and_push
from coffer.targets.registry import Registry as RegistryClient
from tests.services.registry import Registry, registry_server

pytestmark = pytest.mark.integration
__all__ = ["registry_server"]

DOCKERFILE = """\
ARG BASE_IMAGE=node:18
FROM ${BASE_IMAGE} AS builder
COPY . /app
FROM ${BASE_IMAGE} AS runner
COPY app.txt /app/app.txt
USER 1001:1001
ENV MODE=production
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def base(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of one file: no network, no Debian, built in a blink."""
    root = tmp_path_factory.mktemp("base")
    (root / "root").mkdir()
    (root / "root" / "marker").write_text("evidence\n")
    archive = shutil.make_archive(str(root / "base"), "tar", root / "root")
    name = "coffer-evidence-base:1"
    subprocess.run(["docker", "import", archive, name], check=True, capture_output=True)
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "app.txt").write_text("v1")
    (folder / "secret.env").write_text("not for the image")
    (folder / ".dockerignore").write_text("secret.env\n")
    return folder


@pytest.fixture
def client(registry_server: Registry) -> Iterator[RegistryClient]:
    with RegistryClient(registry_server.address) as registry:
        yield registry


def build(engine: docker.DockerClient, source: Path, registry: RegistryClient, base: str, name: str = "service"):
    return build_and_push(
        engine, source, f"{registry.address}/{name}", build_args={"BASE_IMAGE": base}, labels={"org.example.by": "test"}
    )


def test_a_build_is_known_by_the_digest_that_the_registry_serves(engine, source, client, base):
    built = build(engine, source, client, base)
    assert client.exists(built.reference)
    manifest = client.manifest(built.reference)
    assert f"sha256:{hashlib.sha256(manifest.content).hexdigest()}" == built.reference.digest
    config = client.config(built.reference)
    assert config.user == "1001:1001"
    assert config.labels == {"org.example.by": "test"}
    assert config.environment["MODE"] == "production"
    assert built.seconds > 0
    assert "Successfully built" in built.log_tail


def test_building_the_same_again_gives_the_same_digest_and_a_change_another(engine, source, client, base):
    first = build(engine, source, client, base)
    assert build(engine, source, client, base).reference == first.reference
    (source / "secret.env").write_text("ignored files do not count")
    assert build(engine, source, client, base).reference == first.reference
    (source / "app.txt").write_text("v2")
    assert build(engine, source, client, base).reference != first.reference


def test_the_tests_stage_is_attached_to_the_image_and_honours_dockerignore(engine, source, client, base):
    built = build(engine, source, client, base)
    assert built.tests_reference is not None
    assert built.tests_reference != built.reference
    tag = f"{built.reference.digest.replace(':', '-')}.tests"
    assert client.resolve(built.reference.repository, tag) == built.tests_reference
    layers = client.manifest(built.tests_reference).document["layers"]
    content = client.blob(built.tests_reference.repository, layers[-1]["digest"])
    names = subprocess.run(["tar", "tz"], input=content, capture_output=True, check=True).stdout.decode()
    assert "app/app.txt" in names
    assert "secret.env" not in names


def test_an_artifact_is_attached_once_and_found_by_its_image(engine, source, client, base):
    image = build(engine, source, client, base).reference
    with pytest.raises(NotThere):
        client.get_artifact(image, "sbom")
    first = client.put_artifact(image, "sbom", b'{"bom": 1}', "application/vnd.cyclonedx+json")
    assert client.get_artifact(image, "sbom") == b'{"bom": 1}'
    assert client.put_artifact(image, "sbom", b'{"bom": 1}', "application/vnd.cyclonedx+json") == first


def test_an_artifact_of_another_image_is_refused(engine, source, client, base):
    image = build(engine, source, client, base).reference
    (source / "app.txt").write_text("another")
    other = build(engine, source, client, base).reference
    client.put_artifact(other, "sbom", b"{}", "application/vnd.cyclonedx+json")
    name = f"{other.digest.replace(':', '-')}.sbom"
    moved = client.manifest(client.resolve(other.repository, name))
    path = f"{image.repository.partition('/')[2]}/manifests/{image.digest.replace(':', '-')}.sbom"
    client._http.request("PUT", path, content=moved.content, headers={"Content-Type": moved.media_type})
    with pytest.raises(IntegrityError, match="belongs to another image"):
        client.get_artifact(image, "sbom")


def test_what_is_absent_is_told_apart_from_what_is_out_of_reach(client):
    absent = ImageReference(f"{client.address}/nothing", "sha256:" + "0" * 64)
    assert client.exists(absent) is False
    with pytest.raises(NotThere):
        client.resolve(f"{client.address}/nothing", "latest")
    with RegistryClient("127.0.0.1:1") as nobody, pytest.raises(Unreachable):
        nobody.exists(ImageReference("127.0.0.1:1/nothing", "sha256:" + "0" * 64))


def test_a_build_that_fails_says_which_step(engine, source, client, base):
    (source / "Dockerfile").write_text(DOCKERFILE.replace("COPY app.txt", "COPY missing.txt"))
    with pytest.raises(OutsideSystemError, match=r"missing\.txt"):
        build(engine, source, client, base)


def test_a_folder_without_a_dockerfile_is_refused(engine, tmp_path, client, base):
    with pytest.raises(UsageError, match="no Dockerfile"):
        build(engine, tmp_path, client, base)
