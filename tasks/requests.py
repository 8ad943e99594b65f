"""Reading a request for a release: what is wrong is said before anything is touched."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from prefect.runtime import flow_run

from coffer import environments
from coffer.errors import UsageError
from coffer.prefect_api import PrefectApi
from coffer.release.images import ImageReference
from tasks.policies import acting

_NAMESPACE = uuid.UUID("5d3f4f0a-2c52-5d0e-9f3b-6f2b1b7f9a51")


@dataclass(frozen=True)
class ReleaseRequest:
    """A request that can be carried out.

    Attributes:
        environment: Where to.
        image: The image, if it exists already.
        source: The folder to build, otherwise.
        requester: Who asks.
        attempt: Raised by a person to release the same digest again.
        tag: Tag of the push that asks; empty if a person does.
    """

    environment: str
    image: ImageReference | None
    source: Path | None
    requester: str
    attempt: int
    tag: str

    def release_id(self, image: ImageReference) -> str:
        """Return the id of this release: the same for the same request, whoever carries it out, however often."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.environment}|{image.repository}|{image.digest}|{self.attempt}"))


def read(
    environment: str, image: str | None, source: str | None, tag: str, requester: str, attempt: int
) -> ReleaseRequest:
    """Check a request.

    Raises:
        UsageError: It names both or neither of image and source, a tag instead of a digest, or another service's image.
        EnvironmentFileError: There is no such environment, or its file is wrong.
    """
    settings = environments.load(environment)
    if bool(image) == bool(source):
        raise UsageError("a release needs an image or a source, not both", resolution="Give image or source")
    reference = ImageReference.parse(image) if image else None
    if reference and reference.repository != settings.service.image:
        raise UsageError(
            f"{reference.repository} is not the image of {settings.service.name}",
            detail=f"it is {settings.service.image}",
        )
    folder = Path(source).resolve() if source else None
    if folder and not (folder / "Dockerfile").is_file():
        raise UsageError(f"{folder.name} has no Dockerfile", detail=str(folder))
    if attempt < 1:
        raise UsageError("attempt begins at 1")
    return ReleaseRequest(environment, reference, folder, requester or "unnamed", attempt, tag)


def starts_nothing(request: ReleaseRequest) -> str:
    """Return why a push starts no release, or nothing if it does."""
    patterns = environments.load(request.environment).release.on_push
    if not request.image or not request.tag:
        return ""
    if not any(fnmatchcase(request.tag, pattern) for pattern in patterns):
        return f"tag '{request.tag}' is none of {', '.join(patterns) or 'nothing'} in {request.environment}"
    return ""


@acting("see who carries this image")
def carried_by(request: ReleaseRequest) -> str:
    """Return which other run of this environment carries a pushed image already, or nothing.

    One digest pushed under two tags is one release; and after a rollback only a person asks for it again.
    """
    if not request.tag or request.image is None:
        return ""
    wanted = {"environment": request.environment, "image": str(request.image)}
    runs = PrefectApi.from_environment().runs(flow="release", parameters=wanted, limit=200)
    # Of two that begin together the earlier one goes on: ids are as good an order as any, and the same seen from both.
    others = [run for run in runs if run.id != str(flow_run.id) and (run.started or run.waiting)]
    earlier = [run for run in others if run.finished or run.waiting or run.id < str(flow_run.id)]
    return f"run {earlier[0].name} carries {request.image.short} already" if earlier else ""
