"""A store in an S3 bucket: conditional puts, checksums end to end, versions where the bucket keeps them."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from coffer.errors import (
    CofferError,
    IntegrityError,
    NotAllowed,
    NotThere,
    OutsideSystemError,
    RefusedByPolicy,
    StoreFull,
    Unreachable,
    UsageError,
)
from coffer.vault.stores.protocol import Buffer, ObjectInfo

T = TypeVar("T")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 5
_CONFLICTS = 5
_LOCK_THREADS = 16
_ABSENT = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
_FORBIDDEN = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}


class S3Store:
    """Objects below a prefix of a bucket.

    Args:
        bucket: The bucket.
        prefix: What every key begins with; may be empty.
        endpoint: Address of the service; AWS without it.
        region: Region to sign for.
        profile: Profile to take credentials from.
        credentials_file: File that holds the profile, instead of the usual places.
        lock_days: Lock each object in COMPLIANCE mode for so many days; 0 leaves locking to the bucket.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credentials_file: Path | None = None,
        lock_days: int = 0,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._lock_days = lock_days
        self._client = _client(endpoint, region, profile, credentials_file)

    @property
    def url(self) -> str:
        """Address for people."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/") + f" at {self._client.meta.endpoint_url}"

    def put(self, name: str, data: Buffer) -> None:
        """Put with If-None-Match and SHA-256; 409 means that another put is in work: try again."""
        body = bytes(data)
        arguments: dict[str, Any] = {
            "Body": body,
            "IfNoneMatch": "*",
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        if self._lock_days:
            until = datetime.now(UTC) + timedelta(days=self._lock_days)
            arguments |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        for attempt in range(_CONFLICTS):
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, **arguments)
            except ClientError as error:
                if _status(error) == 412:
                    self._check_same(name, body)
                elif _status(error) == 409 and attempt + 1 < _CONFLICTS:
                    time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311 - jitter, no secret
                    continue
                else:
                    raise self._translate(error, name) from error
            except BotoCoreError as error:
                raise self._translate(error, name) from error
            return

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Get an object or a range of it."""
        if length == 0:
            return b""
        arguments = {}
        if offset or length is not None:
            arguments["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            return self._asked(name, lambda: self._body(Key=self._prefix + name, **arguments))
        except _BeyondEnd:
            return b""

    def head(self, name: str) -> ObjectInfo:
        """Ask for an object's size and time."""
        answer = self._asked(name, lambda: self._client.head_object(Bucket=self._bucket, Key=self._prefix + name))
        return ObjectInfo(name, answer["ContentLength"], answer["LastModified"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Page through the keys."""
        token: dict[str, str] = {}
        while True:
            page = self._asked(
                prefix or "/",
                lambda token=token: self._client.list_objects_v2(  # type: ignore[misc]
                    Bucket=self._bucket, Prefix=self._prefix + prefix, **token
                ),
            )
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Remove every version, so that the bytes are gone; a locked one refuses."""
        key = self._prefix + name
        for version in self._versions(name):
            self._asked(
                name,
                lambda version=version: self._client.delete_object(  # type: ignore[misc]
                    Bucket=self._bucket, Key=key, VersionId=version
                ),
                deleting=True,
            )
        self._asked(name, lambda: self._client.delete_object(Bucket=self._bucket, Key=key), deleting=True)

    def older(self, name: str) -> Iterator[bytes]:
        """Read every version that is kept, newest first."""
        for version in self._versions(name):
            yield self._asked(
                name,
                lambda version=version: self._body(Key=self._prefix + name, VersionId=version),  # type: ignore[misc]
            )

    def now(self) -> datetime:
        """Read the Date of an answer."""
        answer = self._asked("the clock", lambda: self._client.head_bucket(Bucket=self._bucket))
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)

    @cached_property
    def keeps_locks(self) -> bool:
        """Ask once whether the bucket was made with Object Lock."""
        try:
            answer = self._asked("Object Lock", lambda: self._client.get_object_lock_configuration(Bucket=self._bucket))
        except NotThere:
            return False
        return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Retain objects in COMPLIANCE mode, which nobody can lift or shorten."""
        if not self.keeps_locks:
            return
        with ThreadPoolExecutor(_LOCK_THREADS) as pool:
            for _ in pool.map(lambda name: self._lock(name, until), names):
                pass

    def locked_until(self, name: str) -> datetime | None:
        """Ask for an object's retention; only COMPLIANCE counts."""
        if not self.keeps_locks:
            self.head(name)
            return None
        key = self._prefix + name
        answer = self._asked(name, lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        until: datetime | None = answer.get("ObjectLockRetainUntilDate")
        return until if answer.get("ObjectLockMode") == "COMPLIANCE" else None

    def create(self) -> None:
        """Do nothing: whoever makes a bucket decides on versions and locks."""

    def sweep(self, before: datetime) -> None:
        """Do nothing: an object appears whole."""

    def _lock(self, name: str, until: datetime) -> None:
        held = self.locked_until(name)
        if held is not None and held >= until:
            return
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        self._asked(
            name,
            lambda: self._client.put_object_retention(
                Bucket=self._bucket, Key=self._prefix + name, Retention=retention
            ),
        )

    def _versions(self, name: str) -> Iterator[str]:
        key = self._prefix + name
        answer = self._asked(name, lambda: self._client.list_object_versions(Bucket=self._bucket, Prefix=key))
        for version in answer.get("Versions", []):
            if version["Key"] == key and version["VersionId"] != "null":
                yield version["VersionId"]

    def _body(self, **arguments: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self._bucket, **arguments)["Body"].read()
        return body

    def _check_same(self, name: str, body: bytes) -> None:
        if self.get(name) != body:
            raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")

    def _asked(self, name: str, ask: Callable[[], T], *, deleting: bool = False) -> T:
        try:
            return ask()
        except (ClientError, BotoCoreError, OSError) as error:
            translated = self._translate(error, name)
            if deleting and isinstance(translated, NotAllowed):
                raise RefusedByPolicy("An object may not be removed", detail=str(translated)) from error
            raise translated from error

    def _translate(self, error: Exception, name: str) -> CofferError:
        where = f"{name} in {self.url}"
        if not isinstance(error, ClientError):
            return Unreachable("The store does not answer", detail=f"{where}: {error}")
        code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
        if status == 416:
            return _BeyondEnd("Beyond the object's end", detail=where)
        if code == "NoSuchBucket":
            return OutsideSystemError("There is no such bucket", detail=self.url, resolution="Make it, or mend the URL")
        if code in _ABSENT or status == 404:
            return NotThere("There is no such object", detail=where)
        if code in _FORBIDDEN or status in (401, 403):
            return NotAllowed("The store refuses access", detail=f"{where}: {code}")
        if code in _FULL:
            return StoreFull("The store is full", detail=where, resolution="Make room there and run it again")
        return Unreachable("The store does not answer as it should", detail=f"{where}: {status} {code}")


class _BeyondEnd(NotThere):
    """A range that begins at or after the object's end."""


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _client(endpoint: str | None, region: str | None, profile: str | None, credentials_file: Path | None) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
    core = botocore.session.Session(profile=profile)
    if credentials_file is not None:
        if not os.access(credentials_file, os.R_OK):
            raise UsageError("The credentials file cannot be read", detail=str(credentials_file))
        core.set_config_variable("credentials_file", str(credentials_file))
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        s3={"addressing_style": "path" if endpoint else "auto"},
        request_checksum_calculation="when_required",
        max_pool_connections=16,
    )
    try:
        session = boto3.Session(botocore_session=core, region_name=region)
        return session.client("s3", endpoint_url=endpoint, config=config)
    except ProfileNotFound as error:
        raise UsageError("There is no such profile", detail=str(error)) from error
    except (BotoCoreError, ValueError) as error:
        raise UsageError("The S3 store cannot be opened", detail=str(error)) from error
