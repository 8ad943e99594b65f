"""Object Lock in COMPLIANCE mode: on the version that is genuine, only ever longer."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from coffer.errors import IntegrityError, NotThere
from coffer.vault.stores.s3_bucket import S3Bucket

_SHA256 = re.compile(r".*-([0-9a-f]{64})")


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
    last = ""
    for answer in _candidates(bucket, name):
        if _may_be(answer, name):
            return answer
        last = str(answer.get("VersionId", ""))
    if not last:
        raise NotThere("There is no such object", detail=f"{name} in {bucket.url}")
    raise IntegrityError("An object is not what was written", detail=f"{name} in {bucket.url}: no version is genuine")


def _candidates(bucket: S3Bucket, name: str) -> Iterator[dict[str, Any]]:
    try:
        newest = bucket.ask("head_object", name, ChecksumMode="ENABLED")
    except NotThere:
        newest = {}
    else:
        yield newest
    for version in bucket.versions(name):
        if not version.is_marker and version.id != newest.get("VersionId"):
            yield bucket.ask("head_object", name, ChecksumMode="ENABLED", VersionId=version.id) | {
                "VersionId": version.id
            }


def _may_be(answer: dict[str, Any], name: str) -> bool:
    """Tell whether a version can be what its name says; one without a whole checksum is taken at its word."""
    match, kept = _SHA256.fullmatch(name), answer.get("ChecksumSHA256", "")
    if match is None or not kept or "-" in kept:
        return True
    return base64.b64decode(kept).hex() == match[1]


def _round_up(moment: datetime) -> datetime:
    """S3 keeps whole seconds."""
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
