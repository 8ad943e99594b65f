"""A store in an S3 bucket: conditional puts, checksums end to end, versions and locks where the bucket keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property

from coffer.errors import NotAllowed, NotThere, RefusedByPolicy
from coffer.vault.stores.many import for_each
from coffer.vault.stores.protocol import Buffer, ObjectInfo
from coffer.vault.stores.s3_bucket import S3Bucket
from coffer.vault.stores.s3_client import BeyondEnd, S3Options
from coffer.vault.stores.s3_locks import held_until, lock_version
from coffer.vault.stores.s3_upload import lock_arguments, upload

_NOTHING = "doctor/nothing"


class S3Store:
    """Objects below a prefix of a bucket.

    Args:
        bucket: The bucket.
        prefix: What every key begins with; may be empty.
        options: How the bucket is reached.
    """

    def __init__(self, bucket: str, prefix: str, options: S3Options | None = None) -> None:
        self._bucket = S3Bucket(bucket, prefix, options or S3Options())

    @property
    def url(self) -> str:
        """Address for people."""
        return self._bucket.url

    @property
    def requests(self) -> Counter[str]:
        """HTTP requests so far by operation (`PutObject`, …), each attempt counted."""
        return self._bucket.requests

    def put(self, name: str, data: Buffer) -> None:
        """Put with If-None-Match and SHA-256, in parts where it is large."""
        days = self._bucket.options.lock_days
        until = datetime.now(UTC) + timedelta(days=days) if days else None
        upload(self._bucket, name, data, {**lock_arguments(until), **self._bucket.options.encryption()})

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Get an object, compared with the checksum that the store keeps, or a range of it."""
        if length == 0:
            return b""
        if not offset and length is None:
            return self._body(name, ChecksumMode="ENABLED")
        try:
            return self._body(name, Range=f"bytes={offset}-{'' if length is None else offset + length - 1}")
        except BeyondEnd:
            return b""

    def head(self, name: str) -> ObjectInfo:
        """Ask for an object's size and time."""
        answer = self._bucket.ask("head_object", name)
        return ObjectInfo(name, answer["ContentLength"], answer["LastModified"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Page through the keys."""
        for page in self._bucket.pages("list_objects_v2", prefix):
            for item in page.get("Contents", []):
                yield ObjectInfo(self._bucket.name_of(item["Key"]), item["Size"], item["LastModified"])

    def delete(self, name: str) -> None:
        """Remove every version and marker, so that the bytes are gone.

        The oldest goes first: it is the one that a lock holds, and then nothing was removed.
        """
        try:
            for version in reversed(self._bucket.versions(name)):
                self._bucket.ask("delete_object", name, VersionId=version.id)
        except NotAllowed as error:
            raise RefusedByPolicy("An object may not be removed", detail=str(error)) from error

    def older(self, name: str) -> Iterator[bytes]:
        """Read every version that is kept, newest first."""
        for version in self._bucket.versions(name):
            if not version.is_marker:
                yield self._body(name, VersionId=version.id)

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Compare what has a delete marker on top with what has versions."""
        marked: set[str] = set()
        kept: set[str] = set()
        for page in self._bucket.pages("list_object_versions", prefix):
            marked |= {self._bucket.name_of(item["Key"]) for item in page.get("DeleteMarkers", []) if item["IsLatest"]}
            kept |= {self._bucket.name_of(item["Key"]) for item in page.get("Versions", [])}
        yield from sorted(marked & kept)

    def now(self) -> datetime:
        """Read the Date of an answer."""
        answer = self._bucket.ask_bucket("list_objects_v2", "the clock", MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)

    @cached_property
    def keeps_locks(self) -> bool:
        """Ask once whether the bucket was made with Object Lock."""
        try:
            answer = self._bucket.ask_bucket("get_object_lock_configuration", "Object Lock")
        except NotThere:
            return False
        return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")

    def may_delete(self) -> bool:
        """Find out whether this identity may remove versions, by asking for one that is not there: nothing changes."""
        try:
            self._bucket.ask("delete_object", _NOTHING, VersionId="null")
        except NotAllowed:
            return False
        except NotThere:
            pass  # it looked for it, so it would have removed it
        return True

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Retain the genuine version of objects in COMPLIANCE mode, which nobody can lift or shorten.

        Raises:
            IntegrityError: No version of an object is what its name says.
        """
        if not names or not self.keeps_locks:
            return
        for_each(names, lambda name: lock_version(self._bucket, name, until))

    def locked_until(self, name: str) -> datetime | None:
        """Ask for an object's retention; only COMPLIANCE counts."""
        return held_until(self._bucket.ask("head_object", name))

    def create(self) -> None:
        """Do nothing: whoever makes a bucket decides on versions and locks."""

    def sweep(self, before: datetime) -> None:
        """Abort uploads in parts that a killed writer began before a moment."""
        for page in self._bucket.pages("list_multipart_uploads", ""):
            for begun in page.get("Uploads", []):
                if begun["Initiated"] < before:
                    self._abort(self._bucket.name_of(begun["Key"]), begun["UploadId"])

    def _abort(self, name: str, upload_id: str) -> None:
        try:
            self._bucket.ask("abort_multipart_upload", name, UploadId=upload_id)
        except NotThere:  # it ended meanwhile
            return

    def _body(self, name: str, **arguments: str) -> bytes:
        body: bytes = self._bucket.ask("get_object", name, **arguments)["Body"]
        return body
