"""What a registry's notification means: which new images it tells of.

Format: Docker distribution, "Work with notifications" (events envelope v1). A registry tells of everything: pulls,
layers, manifests by digest, signatures. Only one kind of event is a new image that a person or a build gave a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from coffer.errors import UsageError

IMAGE_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
# `sha256-…` is how signatures and SBOMs are attached to an image; `build-…` is what a release itself pushes.
_NOT_A_RELEASE = re.compile(r"sha256-|build-")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class PushedImage:
    """An image that a registry has just taken.

    Attributes:
        registry: Address of the registry.
        repository: Name in it.
        tag: The name it was given.
        digest: What it is.
        occurred: When the registry took it.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    occurred: datetime

    @property
    def service(self) -> str:
        """Name of the service: the last part of the repository."""
        return self.repository.rpartition("/")[2]

    @property
    def image(self) -> str:
        """The form a release takes: `registry/repository@digest`."""
        return f"{self.registry}/{self.repository}@{self.digest}"

    @property
    def identity(self) -> UUID:
        """Id of the event: the same however often the same push is told of.

        The tag is part of it. Prefect ignores an id that it has seen; were the id of the digest alone, pushing `latest`
        before `main-7` would hide the tag that starts a release. That a digest is released once is the flow's rule.
        """
        return uuid5(NAMESPACE_URL, f"coffer.image.pushed/{self.repository}:{self.tag}@{self.digest}")

    @property
    def resource(self) -> dict[str, str]:
        """Labels that a trigger can match: which service, from which repository, under which tag."""
        return {
            "prefect.resource.id": f"coffer.service.{self.service}",
            "prefect.resource.name": self.service,
            "coffer.image.repository": f"{self.registry}/{self.repository}",
            "coffer.image.tag": self.tag,
        }

    @property
    def payload(self) -> dict[str, str]:
        """What a trigger can put into a run's parameters."""
        return {"repository": self.repository, "tag": self.tag, "digest": self.digest, "image": self.image}


def pushed_images(envelope: object, *, registry: str = "", now: datetime) -> list[PushedImage]:
    """Read the new images out of a notification, one for each repository, digest and tag.

    Args:
        envelope: The notification's JSON document.
        registry: Address to use for the registry. Empty: what each event says, which is the name under which
            the pushing client spoke to it.
        now: Time of an event that carries none.

    Raises:
        UsageError: It is no such notification.
    """
    events = envelope.get("events") if isinstance(envelope, Mapping) else None
    if not isinstance(events, list):
        raise UsageError("that is no registry notification", detail="it has no list of events")
    found: dict[UUID, PushedImage] = {}
    for event in events:
        if isinstance(event, Mapping) and (image := _pushed(event, registry, now)) is not None:
            found.setdefault(image.identity, image)
    return list(found.values())


def _pushed(event: Mapping[str, Any], registry: str, now: datetime) -> PushedImage | None:
    target, request = event.get("target"), event.get("request")
    if event.get("action") != "push" or not isinstance(target, Mapping):
        return None
    tag, digest, repository = (str(target.get(name) or "") for name in ("tag", "digest", "repository"))
    host = registry or str((request if isinstance(request, Mapping) else {}).get("host") or "")
    if target.get("mediaType") not in IMAGE_TYPES or not host or _NOT_A_RELEASE.match(tag):
        return None
    if not (_TAG.fullmatch(tag) and _DIGEST.fullmatch(digest) and _REPOSITORY.fullmatch(repository)):
        return None
    return PushedImage(host, repository, tag, digest, _time(event.get("timestamp")) or now)


def _time(value: object) -> datetime | None:
    try:
        # Nine digits of a second are Go's way; Python reads six.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(value)))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
