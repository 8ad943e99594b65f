"""One bucket below one prefix in Google Cloud Storage: asked, asked again, its errors said in the vault's words."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import google_crc32c

from coffer.errors import NotThere, OutsideSystemError
from coffer.vault.stores.gs_client import CONNECT_SECONDS, GsOptions, make_client
from coffer.vault.stores.gs_client import ask as ask_client

_PAGE = 1000


class GsBucket:
    """A bucket, a prefix and who speaks to them.

    Attributes:
        options: How the bucket is reached.
        session: The way to the network.
        bucket: The client's handle of the bucket.
        usual: What every call of the client is given. Asking again is ours, with one deadline for all stores.
    """

    def __init__(self, bucket: str, prefix: str, options: GsOptions) -> None:
        self.options = options
        self.client, self.session = make_client(options)
        self.bucket = self.client.bucket(bucket)
        self.usual: dict[str, Any] = {
            "timeout": (min(CONNECT_SECONDS, options.timeout), options.timeout),
            "retry": None,
        }
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """Address for people."""
        where = f" at {self.options.endpoint}" if self.options.endpoint else ""
        return f"gs://{self.bucket.name}/{self._prefix}".rstrip("/") + where

    def name_of(self, blob: Any) -> str:  # noqa: ANN401 - the client has no types
        """Return an object's name."""
        name: str = blob.name
        return name.removeprefix(self._prefix)

    def upload(self, name: str, data: bytes) -> None:
        """Put an object where no generation stands, with its CRC32C."""
        checksum = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        self.blob(name).upload_from_file(
            io.BytesIO(data),
            size=len(data),
            if_generation_match=0,
            checksum="crc32c",
            crc32c_checksum_value=checksum,
            **self.usual,
        )

    def download(self, name: str, generation: int | None, **arguments: object) -> bytes:
        """Get an object, or a generation of it."""
        blob = self.blob(name, generation)
        data: bytes = self.ask(name, lambda: blob.download_as_bytes(raw_download=True, **arguments, **self.usual))
        return data

    def look(self, name: str) -> Any:  # noqa: ANN401 - the client has no types
        """Return what the service knows of an object."""
        blob = self.blob(name)
        self.ask(name, lambda: blob.reload(**self.usual))
        return blob

    def blob(self, name: str, generation: int | None = None) -> Any:  # noqa: ANN401 - the client has no types
        """Return the client's handle of an object; asks nothing."""
        return self.bucket.blob(self._prefix + name, generation=generation)

    def generations(self, name: str) -> Sequence[int]:
        """Return the generations that are kept of an object, newest first."""
        # "true" and not True: the client writes the latter as "True", which not every server takes for yes.
        found = [blob for blob in self.walk(name, versions="true") if blob.name == self._prefix + name]
        return sorted((blob.generation for blob in found), reverse=True)

    def walk(self, prefix: str, **arguments: object) -> Iterator[Any]:
        """Walk what is kept below a prefix, each page asked for again by itself when it fails."""
        token: str | None = None
        while True:
            blobs, token = self.ask(prefix or "/", partial(self._page, prefix, token, arguments))
            yield from blobs
            if not token:
                return

    def _page(self, prefix: str, token: str | None, arguments: dict[str, object]) -> tuple[Sequence[Any], str | None]:
        listing = self.client.list_blobs(
            self.bucket, prefix=self._prefix + prefix, page_size=_PAGE, page_token=token, **arguments, **self.usual
        )
        return list(next(listing.pages, [])), listing.next_page_token

    def ask(self, name: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client has no types
        """Do something with the client.

        Raises:
            CofferError: It failed, also after what deserves it was asked again.
        """
        try:
            return ask_client(self.options, f"{name} in {self.url}", act)
        except NotThere:
            if not self._is_there:
                raise OutsideSystemError(
                    "There is no such bucket", detail=self.url, resolution="Make it, or mend the URL"
                ) from None
            raise

    @cached_property
    def _is_there(self) -> bool:
        """Whether the bucket exists: an absent one gives the same 404 as an absent object."""
        return bool(ask_client(self.options, self.url, lambda: self.bucket.exists(**self.usual)))

    def now(self) -> datetime:
        """Return the Date of an answer."""
        self.ask("the clock", lambda: list(self.client.list_blobs(self.bucket, max_results=1, **self.usual)))
        if self.session.date is None:
            raise OutsideSystemError("The store does not tell the time", detail=self.url)
        return self.session.date
