"""Object Lock in COMPLIANCE mode: on the version that is genuine, only ever longer."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

from coffer.errors import IntegrityError, NotThere
from coffer.vault.stores.s3_bucket import S3Bucket


def lock_version(bucket: S3Bucket, name: str, until: datetime) -> None:
    """Retain an object until a moment at least.

    Somebody with the writer's rights can put a version over an object: a lock on that one would protect nothing, so
    the version is taken whose checksum is the SHA-256 in the name.

    Raises:
        NotThere: Nothing is kept under that name.
        IntegrityError: Nothing kept under that name is what the name says.
    """
    answer = _genuine(bucket, name)
    held = held_until(answer)
    if held is not None and held >= until:
        return
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": _round_up(until)}
    which = {"VersionId": answer["VersionId"]} if "VersionId" in answer else {}
    bucket.ask("put_object_retention", name, Retention=retention, **which)


def held_until(answer: dict[str, Any]) -> datetime | None:
    """Return until when a version is retained; GOVERNANCE, which some may lift, does not count."""
    until: datetime | None = answer.get("ObjectLockRetainUntilDate")
    return until if answer.get("ObjectLockMode") == "COMPLIANCE" else None


def _genuine(bucket: S3Bucket, name: str) -> dict[str, Any]:
    """Look at the version that is what the name says: by its checksum, else by being alone, else by its bytes."""
    newest = _head(bucket, name)
    if newest is not None and _is_proven(newest, name):
        return newest
    kept = [version for version in bucket.versions(name) if not version.is_marker]
    if newest is not None and len(kept) <= 1:
        return newest  # a checksum of parts, or none: there is no other version that it might stand over
    heads = [head for version in kept if (head := _head(bucket, name, version.id)) is not None]
    for head in heads:
        if _is_proven(head, name):
            return head
    for head in heads:
        body = bucket.ask("get_object", name, VersionId=head["VersionId"])["Body"]
        if hashlib.sha256(body).hexdigest() == _sha256_of(name):
            return head
    if not heads:
        raise NotThere("There is no such object", detail=f"{name} in {bucket.url}")
    raise IntegrityError("An object is not what was written", detail=f"{name} in {bucket.url}: no version is genuine")


def _head(bucket: S3Bucket, name: str, version: str | None = None) -> dict[str, Any] | None:
    which = {"VersionId": version} if version is not None else {}
    try:
        return {**bucket.ask("head_object", name, ChecksumMode="ENABLED", **which), **which}
    except NotThere:  # nothing, or a delete marker
        return None


def _is_proven(head: dict[str, Any], name: str) -> bool:
    kept = head.get("ChecksumSHA256", "")
    return bool(kept) and "-" not in kept and base64.b64decode(kept).hex() == _sha256_of(name)


def _sha256_of(name: str) -> str:
    return name.rpartition("-")[2]


def _round_up(moment: datetime) -> datetime:
    """S3 keeps whole seconds."""
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
