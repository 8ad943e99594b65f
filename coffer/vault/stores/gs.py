"""A store in a bucket of Google Cloud Storage: puts on condition of generation 0, CRC32C, generations, retention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from coffer.errors import (
    CofferError,
    IntegrityError,
    NotAllowed,
    NotThere,
    RefusedByPolicy,
    Unreachable,
)
from coffer.vault.stores.gs_bucket import GsBucket
from coffer.vault.stores.gs_client import GsOptions, status_of
from coffer.vault.stores.many import for_each
from coffer.vault.stores.protocol import Buffer, ObjectInfo, as_bytes

_CONFLICTS = 5
_PAGE = 1000


class GsStore:
    """Objects below a prefix of a bucket.

    Args:
        bucket: The bucket.
        prefix: What every object's name begins with; may be empty.
        options: How the bucket is reached.
    """

    def __init__(self, bucket: str, prefix: str, options: GsOptions | None = None) -> None:
        self._bucket = GsBucket(bucket, prefix, options or GsOptions())

    @property
    def url(self) -> str:
        """Address for people."""
        return self._bucket.url

    @property
    def requests(self) -> Counter[str]:
        """HTTP requests so far by method, each attempt counted."""
        return self._bucket.session.sent

    def put(self, name: str, data: Buffer) -> None:
        """Put where no generation stands, with a CRC32C that the service compares before the object exists."""
        content = as_bytes(data)
        for _ in range(_CONFLICTS):
            try:
                self._bucket.ask(name, partial(self._bucket.upload, name, content))
                return
            except CofferError as error:
                if _status(error) != 412:
                    raise
            if self._stands(name, content):
                return
        raise Unreachable("An object comes and goes while it is put", detail=f"{name} in {self.url}")

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Get an object, compared with its CRC32C, or a range of it."""
        if length == 0:
            return b""
        arguments: dict[str, Any] = {"checksum": "crc32c"}
        if offset or length is not None:
            arguments = {"start": offset, "checksum": None}
            if length is not None:
                arguments["end"] = offset + length - 1
        try:
            return self._bucket.download(name, None, **arguments)
        except CofferError as error:
            if _status(error) == 416:
                return b""
            raise

    def head(self, name: str) -> ObjectInfo:
        """Ask for an object's size and time."""
        blob = self._bucket.look(name)
        return ObjectInfo(name, blob.size, blob.time_created)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Page through the names."""
        for blob in self._bucket.walk(prefix):
            # Not `updated`: a lock that is extended would make the object young again.
            yield ObjectInfo(self._bucket.name_of(blob), blob.size, blob.time_created)

    def delete(self, name: str) -> None:
        """Remove every generation, the oldest first: what retention holds says no before anything is gone."""
        for generation in reversed(self._bucket.generations(name)):
            try:
                self._bucket.ask(name, partial(self._bucket.blob(name, generation).delete, **self._bucket.usual))
            except NotThere:  # it went meanwhile
                continue
            except NotAllowed as error:
                raise RefusedByPolicy("An object may not be removed", detail=str(error)) from error

    def older(self, name: str) -> Iterator[bytes]:
        """Read every generation that is kept, newest first."""
        for generation in self._bucket.generations(name):
            yield self._bucket.download(name, generation, checksum="crc32c")

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Name what has generations and none that is live."""
        kept: set[str] = set()
        live: set[str] = set()
        for blob in self._bucket.walk(prefix, versions="true"):
            (live if blob.time_deleted is None else kept).add(self._bucket.name_of(blob))
        yield from sorted(kept - live)

    def now(self) -> datetime:
        """Read the Date of an answer."""
        return self._bucket.now()

    @cached_property
    def keeps_locks(self) -> bool:
        """Ask once whether the bucket was made with object retention."""
        self._bucket.ask("object retention", lambda: self._bucket.bucket.reload(**self._bucket.usual))
        return bool(self._bucket.bucket.object_retention_mode == "Enabled")

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Retain objects in mode Locked, which nobody can lift or shorten.

        A writer cannot put a generation over an object, since that takes storage.objects.delete: the live one is
        the genuine one.
        """
        if not names or not self.keeps_locks:
            return
        for_each(names, lambda name: self._lock(name, until))

    def locked_until(self, name: str) -> datetime | None:
        """Ask for an object's retention; only mode Locked counts."""
        return _held_until(self._bucket.look(name))

    def create(self) -> None:
        """Do nothing: whoever makes a bucket decides on versions and retention."""

    def sweep(self, before: datetime) -> None:
        """Do nothing: an upload that was not finished is no object, and the service drops it after a week."""

    def _stands(self, name: str, data: bytes) -> bool:
        try:
            blob = self._bucket.look(name)
            if blob.size == len(data) and self.get(name) == data:
                return True
        except NotThere:  # it was removed since
            return False
        raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")

    def _lock(self, name: str, until: datetime) -> None:
        blob = self._bucket.look(name)
        held = _held_until(blob)
        if held is not None and held >= until:
            return
        blob.retention.mode = "Locked"
        blob.retention.retain_until_time = until + timedelta(milliseconds=1)  # it keeps milliseconds
        self._bucket.ask(name, lambda: blob.patch(**self._bucket.usual))


def _held_until(blob: Any) -> datetime | None:  # noqa: ANN401 - the client has no types
    until: datetime | None = blob.retention.retain_until_time
    return until if blob.retention.mode == "Locked" else None


def _status(error: CofferError) -> int:
    cause = error.__cause__
    return status_of(cause) if isinstance(cause, Exception) else 0
