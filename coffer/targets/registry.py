"""A small client of the OCI distribution API: tags become digests here, and digests are checked against bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.release.images import ImageReference
from coffer.targets.registry_http import RegistryHttp

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry stores it.

    Attributes:
        media_type: What the registry says it is.
        content: Its exact bytes; their SHA-256 is the digest.
    """

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """The name that these bytes give themselves."""
        return digest_of(self.content)

    @property
    def document(self) -> dict[str, Any]:
        """The bytes as JSON."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed


@dataclass(frozen=True)
class ImageConfig:
    """What an image says about how it runs.

    Attributes:
        user: The account it starts as; empty means root.
        labels: Its labels.
        environment: Its variables.
        architecture: `amd64`, `arm64`, …
        document: Everything else, as stored.
    """

    user: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    architecture: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, content: bytes) -> ImageConfig:
        """Read a config blob."""
        document = json.loads(content)
        section = document.get("config") or {}
        pairs = (variable.partition("=") for variable in section.get("Env") or ())
        return cls(
            section.get("User") or "",
            section.get("Labels") or {},
            {name: value for name, _, value in pairs},
            document.get("architecture", ""),
            document,
        )


class Registry:
    """One registry, as one identity.

    Args:
        address: Host and port as image names begin with: `127.0.0.1:5000`, `registry.example`.
        username: Account for basic authentication or for the token service; empty for none.
        password: Its password.
        timeout: Seconds for one request.
        transport: Replaces the network, for tests.

    A loopback address is spoken to by plain HTTP, all others by HTTPS, as Docker does.
    """

    def __init__(
        self,
        address: str,
        *,
        username: str = "",
        password: str = "",
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = address
        self._http = RegistryHttp(address, username, password, timeout, transport)

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def resolve(self, repository: str, tag: str) -> ImageReference:
        """Turn a tag into the digest it names now.

        Raises:
            NotThere: No such repository or tag.
            Unreachable: The registry gave no answer.
            NotAllowed: It refuses this identity.
            IntegrityError: Its bytes are not what its digest says.
        """
        manifest, said = self._fetch_manifest(repository, tag)
        if said and said != manifest.digest:
            raise IntegrityError(
                f"{repository}:{tag} is not what the registry says", detail=f"said {said}, is {manifest.digest}"
            )
        return ImageReference(repository, manifest.digest)

    def exists(self, image: ImageReference) -> bool:
        """Tell whether the registry has these bytes; any other trouble is raised."""
        try:
            self.manifest(image)
        except NotThere:
            return False
        return True

    def manifest(self, image: ImageReference) -> Manifest:
        """Fetch a manifest by digest and check it.

        Raises:
            IntegrityError: The bytes have another digest.
        """
        manifest, _ = self._fetch_manifest(image.repository, image.digest)
        if manifest.digest != image.digest:
            raise IntegrityError(
                f"the registry gave other bytes for {image}", detail=f"their digest is {manifest.digest}"
            )
        return manifest

    def config(self, image: ImageReference) -> ImageConfig:
        """Fetch what an image says about how it runs."""
        document = self.manifest(image).document
        if "config" not in document:
            raise UsageError(f"{image} names images for several platforms", resolution="Name one platform's digest")
        return ImageConfig.read(self.blob(image.repository, document["config"]["digest"]))

    def blob(self, repository: str, digest: str) -> bytes:
        """Fetch a blob and check it against its digest."""
        content = self._http.request("GET", f"{self._name(repository)}/blobs/{digest}", follow_redirects=True).content
        if digest_of(content) != digest:
            raise IntegrityError(f"a blob of {repository} is damaged", detail=f"{digest} has other bytes")
        return content

    def put_artifact(self, image: ImageReference, kind: str, content: bytes, media_type: str) -> ImageReference:
        """Attach a document (an SBOM, a signature) to an image; doing it again changes nothing.

        It is found by tag (`sha256-HEX.KIND`) and, where the registry knows referrers, by its subject.

        Args:
            image: What it belongs to.
            kind: Ending of the tag: `sbom`, `sig`, …
            content: The document.
            media_type: Its type.
        """
        subject = self.manifest(image)
        for blob in (_EMPTY, content):
            self._put_blob(image.repository, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "artifactType": media_type,
            "config": _descriptor(_EMPTY, _EMPTY_TYPE),
            "layers": [_descriptor(content, media_type)],
            "subject": {"mediaType": subject.media_type, "digest": image.digest, "size": len(subject.content)},
        }
        body = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        path = f"{self._name(image.repository)}/manifests/{artifact_tag(image, kind)}"
        self._http.request("PUT", path, content=body, headers={"Content-Type": MANIFEST_TYPES[0]})
        return ImageReference(image.repository, digest_of(body))

    def get_artifact(self, image: ImageReference, kind: str) -> bytes:
        """Fetch a document attached to an image.

        Raises:
            NotThere: Nothing of that kind is attached.
            IntegrityError: It belongs to another image.
        """
        reference = self.resolve(image.repository, artifact_tag(image, kind))
        document = self.manifest(reference).document
        if document.get("subject", {}).get("digest") != image.digest:
            raise IntegrityError(f"the {kind} attached to {image} belongs to another image")
        return self.blob(image.repository, document["layers"][0]["digest"])

    def _fetch_manifest(self, repository: str, reference: str) -> tuple[Manifest, str]:
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        answer = self._http.request("GET", f"{self._name(repository)}/manifests/{reference}", headers=headers)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        return Manifest(media_type, answer.content), answer.headers.get("Docker-Content-Digest", "")

    def _put_blob(self, repository: str, content: bytes) -> None:
        name, digest = self._name(repository), digest_of(content)
        if self._http.has(f"{name}/blobs/{digest}"):
            return
        place = self._http.request("POST", f"{name}/blobs/uploads/").headers["Location"]
        target = self._http.within(place).copy_merge_params({"digest": digest})
        self._http.request("PUT", str(target), content=content, headers={"Content-Type": "application/octet-stream"})

    def _name(self, repository: str) -> str:
        prefix = f"{self.address}/"
        if not repository.startswith(prefix):
            raise UsageError(f"{repository} is not in the registry {self.address}")
        return repository.removeprefix(prefix)


def digest_of(content: bytes) -> str:
    """Return `sha256:…` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def artifact_tag(image: ImageReference, kind: str) -> str:
    """Return the tag under which a document of some kind is attached to an image (cosign's scheme)."""
    return f"{image.digest.replace(':', '-')}.{kind}"


def address_of(repository: str) -> str:
    """Return the registry's part of a repository name.

    Raises:
        UsageError: The name holds no registry.
    """
    address, slash, _ = repository.partition("/")
    if not slash or not ("." in address or ":" in address or address == "localhost"):
        raise UsageError(f"'{repository}' does not say which registry", resolution="Write HOST[:PORT]/NAME")
    return address


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
