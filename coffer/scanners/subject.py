"""What is scanned: one image, opened up once for all scanners, and the source that it was built from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from coffer.errors import NotThere, OutsideSystemError
from coffer.release.images import ImageReference
from coffer.scanners.filesystem import ImageFiles, read_filesystem


@dataclass(frozen=True)
class ScanSubject:
    """Everything a scanner may look at.

    Attributes:
        image: The image, by digest.
        directory: Scratch folder; a scanner may keep files in a sub-folder of its own name.
        archive: The image as `docker save` writes it; None where only source is looked at.
        files: What stands in its file system.
        user: The account it starts as; empty means root.
        labels: Its labels.
        environment: Its variables.
        source: Folder it was built from; None where it is not at hand (a running image).
        now: The time of the scan.
    """

    image: ImageReference
    directory: Path
    now: datetime
    archive: Path | None = None
    files: ImageFiles = field(default_factory=ImageFiles)
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None

    @property
    def dockerfile(self) -> Path | None:
        """The Dockerfile of the source, if there is one."""
        path = self.source / "Dockerfile" if self.source is not None else None
        return path if path is not None and path.is_file() else None


def prepare(
    client: docker.DockerClient,
    image: ImageReference,
    directory: Path,
    *,
    now: datetime,
    source: Path | None = None,
    credentials: tuple[str, str] | None = None,
) -> ScanSubject:
    """Fetch an image by digest and open it up below a folder.

    Args:
        client: An engine that can pull it.
        image: The image.
        directory: Empty or absent; what a broken-off attempt left there is replaced.
        now: The time of the scan.
        source: Folder it was built from.
        credentials: User and password of the registry.

    Raises:
        NotThere: The registry does not have it.
        OutsideSystemError: The engine failed.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    try:
        found = _pull(client, image, credentials)
        archive = directory / "image.tar"
        with archive.open("wb") as stream:
            stream.writelines(found.save(named=False))
        files = _open_up(client, found.id, directory)
    except ImageNotFound as error:
        raise NotThere(f"{image} cannot be pulled", detail=str(error)) from error
    except DockerException as error:
        raise OutsideSystemError(f"the engine does not give {image.short}", detail=str(error)) from error
    config = found.attrs.get("Config") or {}
    pairs = (variable.partition("=") for variable in config.get("Env") or ())
    return ScanSubject(
        image=image,
        directory=directory,
        now=now,
        archive=archive,
        files=files,
        user=config.get("User") or "",
        labels=config.get("Labels") or {},
        environment={name: value for name, _, value in pairs},
        source=source,
    )


def _pull(client: docker.DockerClient, image: ImageReference, credentials: tuple[str, str] | None) -> Any:  # noqa: ANN401
    auth = {"username": credentials[0], "password": credentials[1]} if credentials else None
    return client.images.pull(image.repository, tag=image.digest, auth_config=auth)


def _open_up(client: docker.DockerClient, image_id: str, directory: Path) -> ImageFiles:
    exported = directory / "filesystem.tar"
    container: Any = client.containers.create(image_id, command=["never-started"])
    try:
        with exported.open("wb") as stream:
            stream.writelines(container.export())
    finally:
        container.remove(force=True)
    files = read_filesystem(exported, directory / "files")
    exported.unlink()
    return files
