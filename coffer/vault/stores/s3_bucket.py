"""One bucket below one prefix: each request asked, counted, asked again, and its errors said in the vault's words."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from coffer.vault.stores.s3_client import S3Options, deserves_retry, make_client, translate


class Version(NamedTuple):
    """One version of an object, or a delete marker over it."""

    id: str
    size: int
    is_marker: bool


class S3Bucket:
    """A bucket, a prefix and who speaks to them.

    Attributes:
        requests: HTTP requests so far by operation, each attempt counted.
        options: How the bucket is reached.
    """

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self.options = options
        self.requests: Counter[str] = Counter()
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = make_client(options)
        self._mutex = threading.Lock()
        self._client.meta.events.register("before-send.s3", self._count)

    @property
    def url(self) -> str:
        """Address for people."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/") + f" at {self._client.meta.endpoint_url}"

    def ask(self, operation: str, name: str, **arguments: object) -> dict[str, Any]:
        """Call an operation of the client on an object.

        Raises:
            CofferError: It failed, also after what deserves it was asked again.
        """
        return self.ask_bucket(operation, name, Key=self._prefix + name, **arguments)

    def ask_bucket(self, operation: str, what: str, **arguments: object) -> dict[str, Any]:
        """Call an operation of the client on the bucket; raises as `ask` does."""
        call = getattr(self._client, operation)

        def once() -> dict[str, Any]:
            answer: dict[str, Any] = call(Bucket=self._bucket, **arguments)
            if operation == "get_object":
                answer["Body"] = answer["Body"].read()
            return answer

        try:
            return self.options.retries.run(once, deserves_retry)
        except (ClientError, BotoCoreError, OSError) as error:
            raise translate(error, f"{what} in {self.url}", self.url) from error

    def pages(self, operation: str, prefix: str, **arguments: object) -> Iterator[dict[str, Any]]:
        """Walk the pages of a listing, each page asked for again by itself when it fails."""
        more: dict[str, object] = {}
        while True:
            page = self.ask_bucket(operation, prefix or "/", Prefix=self._prefix + prefix, **arguments, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            following = {
                "ContinuationToken": "NextContinuationToken",
                "KeyMarker": "NextKeyMarker",
                "VersionIdMarker": "NextVersionIdMarker",
                "UploadIdMarker": "NextUploadIdMarker",
            }
            more = {argument: page[field] for argument, field in following.items() if page.get(field)}

    def name_of(self, key: str) -> str:
        """Return an object's name from its key."""
        return key.removeprefix(self._prefix)

    def versions(self, name: str) -> list[Version]:
        """Return all that is kept under a name, newest first, delete markers among them."""
        found: list[tuple[Any, Version]] = []
        for page in self.pages("list_object_versions", name):
            for kind in ("Versions", "DeleteMarkers"):
                found += [
                    (item["LastModified"], Version(item["VersionId"], item.get("Size", 0), kind == "DeleteMarkers"))
                    for item in page.get(kind, [])
                    if self.name_of(item["Key"]) == name
                ]
        return [version for _, version in sorted(found, key=lambda each: each[0], reverse=True)]

    def _count(self, event_name: str, **_: object) -> None:
        with self._mutex:
            self.requests[event_name.rpartition(".")[2]] += 1
