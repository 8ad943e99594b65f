"""Proofs: what a point has passed, signed by the root, kept beside it.

Only who holds an identity can make one, for it unwraps the root key; so a writer that was taken over cannot call a
point proven, nor a good one damaged. A check at rest needs no key and leaves no proof: its report is its result.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from coffer.errors import IntegrityError
from coffer.vault import frames, names, points
from coffer.vault.configuration import Configuration
from coffer.vault.frames import ObjectKind


class How(StrEnum):
    """How a point was tried."""

    READ_BACK = "read-back"
    DRILL = "drill"


class Result(StrEnum):
    """How it ended.

    Attributes:
        PASSED: Everything that the point needs was opened and hashed, now or within the time that was asked for; or
            the service came back and said that all is well.
        PARTIAL: What was read is as it was written; some of the point was not read yet.
        DAMAGED: Something of it is in no store as it was written, or what came back was wrong.
        FAILED: A drill did not reach its promises; that says nothing about the bytes.
    """

    PASSED = "passed"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    FAILED = "failed"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of one point.

    Attributes:
        vault: Vault id.
        service: Whose point.
        point: Its name.
        manifest: SHA-256 of its manifest.
        how: A `How`.
        result: A `Result`.
        at_ns: When it ended.
        by: Fingerprint of the identity that did it.
        objects: Objects that were read.
        read: Bytes that were read.
        stores: Addresses of the stores in which it is whole, as far as was read.
        packs: Ids of the packs that were opened and hashed in every store; what points share is listed at one of them.
        detail: What was wrong, for people.
        facts: Of a drill: the moment, recovery time, loss.
    """

    vault: bytes
    service: str
    point: str
    manifest: bytes
    how: How
    result: Result
    at_ns: int
    by: str
    objects: int = 0
    read: int = 0
    stores: list[str] = []
    packs: list[bytes] = []
    detail: str = ""
    facts: dict[str, str | int | float | bool | None] = {}

    @property
    def at(self) -> datetime:
        """When it ended, UTC."""
        return points.from_ns(self.at_ns)


def seal(root_secret: bytes, proof: Proof) -> tuple[str, bytes]:
    """Return name and bytes of a proof."""
    object_id = names.new_id()
    body = frames.compress(frames.encode(proof))
    data = frames.sign(ObjectKind.PROOF, proof.vault, object_id, root_secret, body)
    return names.name_of(points.folder(names.PROOFS, proof.service, proof.point), object_id, data), data


def open_proof(configuration: Configuration, name: str, data: bytes) -> Proof:
    """Check a proof's signature and place.

    Raises:
        IntegrityError: The root did not sign it, or it was altered or moved.
    """
    object_name = names.check(name, data)
    body = frames.open_signed(ObjectKind.PROOF, configuration.vault, object_name.id, configuration.root, data, name)
    proof = frames.decode(frames.decompress(body, name), Proof, name)
    if (
        proof.vault != configuration.vault
        or points.folder(names.PROOFS, proof.service, proof.point) != object_name.prefix
    ):
        raise IntegrityError("A proof stands in another's place", detail=name)
    return proof


def pack_id(name: str) -> bytes:
    """Return the id of a pack by its object's name."""
    return names.ObjectName.parse(name).id
