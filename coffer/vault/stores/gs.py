"""A store in a bucket of Google Cloud Storage: puts on condition of generation 0, CRC32C, generations, retention."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import google_crc32c

from coffer.errors import (
    CofferError,
    IntegrityError,
    NotAllowed,
    NotThere,
    OutsideSystemError,
    RefusedByPolicy,
    Unreachable,
)
from coffer.vault.stores.gs_client import CONNECT_SECONDS, GsOptions, ask, make_client, status_of
from coffer.vault.stores.protocol import Buffer, ObjectInfo, as_bytes

_LOCK_THREADS = 16
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
        self._options = options or GsOptions()
        self._client, self._session = make_client(self._options)
        self._bucket = self._client.bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        # Asking again is ours (retry=None), with one deadline for all stores.
        self._usual: dict[str, Any] = {
            "timeout": (min(CONNECT_SECONDS, self._options.timeout), self._options.timeout),
            "retry": None,
        }

    @property
    def url(self) -> str:
        """Address for people."""
        where = f" at {self._options.endpoint}" if self._options.endpoint else ""
        return f"gs://{self._bucket.name}/{self._prefix}".rstrip("/") + where

    @property
    def requests(self) -> Counter[str]:
        """HTTP requests so far by method, each attempt counted."""
        return self._session.sent

    def put(self, name: str, data: Buffer) -> None:
        """Put where no generation stands, with a CRC32C that the service compares before the object exists."""
        content = as_bytes(data)
        for _ in range(_CONFLICTS):
            try:
                self._ask(name, partial(self._upload, name, content))
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
            return self._download(name, None, **arguments)
        except CofferError as error:
            if _status(error) == 416:
                return b""
            raise

    def head(self, name: str) -> ObjectInfo:
        """Ask for an object's size and time."""
        blob = self._look(name)
        return ObjectInfo(name, blob.size, blob.time_created)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Page through the names."""
        for blob in self._walk(prefix):
            # Not `updated`: a lock that is extended would make the object young again.
            yield ObjectInfo(blob.name.removeprefix(self._prefix), blob.size, blob.time_created)

    def delete(self, name: str) -> None:
        """Remove every generation, the oldest first: what retention holds says no before anything is gone."""
        for generation in reversed(self._generations(name)):
            try:
                self._ask(name, partial(self._blob(name, generation).delete, **self._usual))
            except NotThere:  # it went meanwhile
                continue
            except NotAllowed as error:
                raise RefusedByPolicy("An object may not be removed", detail=str(error)) from error

    def older(self, name: str) -> Iterator[bytes]:
        """Read every generation that is kept, newest first."""
        for generation in self._generations(name):
            yield self._download(name, generation, checksum="crc32c")

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Name what has generations and none that is live."""
        kept: set[str] = set()
        live: set[str] = set()
        for blob in self._walk(prefix, versions="true"):
            (live if blob.time_deleted is None else kept).add(blob.name.removeprefix(self._prefix))
        yield from sorted(kept - live)

    def now(self) -> datetime:
        """Read the Date of an answer."""
        self._ask(
            "the clock", lambda: next(iter(self._client.list_blobs(self._bucket, max_results=1, **self._usual)), 0)
        )
        if self._session.date is None:
            raise OutsideSystemError("The store does not tell the time", detail=self.url)
        return self._session.date

    @cached_property
    def keeps_locks(self) -> bool:
        """Ask once whether the bucket was made with object retention."""
        self._ask("object retention", lambda: self._bucket.reload(**self._usual))
        return bool(self._bucket.object_retention_mode == "Enabled")

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Retain objects in mode Locked, which nobody can lift or shorten.

        A writer cannot put a generation over an object, since that takes storage.objects.delete: the live one is
        the genuine one.
        """
        if not names or not self.keeps_locks:
            return
        with ThreadPoolExecutor(min(_LOCK_THREADS, len(names))) as pool:
            futures = [pool.submit(self._lock, name, until) for name in names]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def locked_until(self, name: str) -> datetime | None:
        """Ask for an object's retention; only mode Locked counts."""
        return _held_until(self._look(name))

    def create(self) -> None:
        """Do nothing: whoever makes a bucket decides on versions and retention."""

    def sweep(self, before: datetime) -> None:
        """Do nothing: an upload that was not finished is no object, and the service drops it after a week."""

    def _upload(self, name: str, data: bytes) -> None:
        checksum = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        self._blob(name).upload_from_file(
            io.BytesIO(data),
            size=len(data),
            if_generation_match=0,
            checksum="crc32c",
            crc32c_checksum_value=checksum,
            **self._usual,
        )

    def _download(self, name: str, generation: int | None, **arguments: object) -> bytes:
        blob = self._blob(name, generation)
        data: bytes = self._ask(name, lambda: blob.download_as_bytes(raw_download=True, **arguments, **self._usual))
        return data

    def _stands(self, name: str, data: bytes) -> bool:
        try:
            blob = self._look(name)
            if blob.size == len(data) and self.get(name) == data:
                return True
        except NotThere:  # it was removed since
            return False
        raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")

    def _lock(self, name: str, until: datetime) -> None:
        blob = self._look(name)
        held = _held_until(blob)
        if held is not None and held >= until:
            return
        blob.retention.mode = "Locked"
        blob.retention.retain_until_time = until + timedelta(milliseconds=1)  # it keeps milliseconds
        self._ask(name, lambda: blob.patch(**self._usual))

    def _look(self, name: str) -> Any:  # noqa: ANN401 - the client has no types
        blob = self._blob(name)
        self._ask(name, lambda: blob.reload(**self._usual))
        return blob

    def _blob(self, name: str, generation: int | None = None) -> Any:  # noqa: ANN401 - the client has no types
        return self._bucket.blob(self._prefix + name, generation=generation)

    def _generations(self, name: str) -> Sequence[int]:
        # "true" and not True: the client writes the latter as "True", which not every server takes for yes.
        found = [blob for blob in self._walk(name, versions="true") if blob.name == self._prefix + name]
        return sorted((blob.generation for blob in found), reverse=True)

    def _walk(self, prefix: str, **arguments: object) -> Iterator[Any]:
        token: str | None = None
        while True:
            blobs, token = self._ask(prefix or "/", partial(self._page, prefix, token, arguments))
            yield from blobs
            if not token:
                return

    def _page(self, prefix: str, token: str | None, arguments: dict[str, object]) -> tuple[Sequence[Any], str | None]:
        listing = self._client.list_blobs(
            self._bucket, prefix=self._prefix + prefix, page_size=_PAGE, page_token=token, **arguments, **self._usual
        )
        return list(next(listing.pages, [])), listing.next_page_token

    def _ask(self, name: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client has no types
        try:
            return ask(self._options, f"{name} in {self.url}", act)
        except NotThere:
            if not self._is_there:
                raise OutsideSystemError(
                    "There is no such bucket", detail=self.url, resolution="Make it, or mend the URL"
                ) from None
            raise

    @cached_property
    def _is_there(self) -> bool:
        """Whether the bucket exists: an absent one gives the same 404 as an absent object."""
        return bool(ask(self._options, self.url, lambda: self._bucket.exists(**self._usual)))


def _held_until(blob: Any) -> datetime | None:  # noqa: ANN401 - the client has no types
    until: datetime | None = blob.retention.retain_until_time
    return until if blob.retention.mode == "Locked" else None


def _status(error: CofferError) -> int:
    cause = error.__cause__
    return status_of(cause) if isinstance(cause, Exception) else 0
