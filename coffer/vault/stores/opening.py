"""From a store's URL to a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from coffer.errors import UsageError
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from coffer.vault.stores.retrying import Retries

T = TypeVar("T")
_MOST = 1e6
_COMMON = {"endpoint", "timeout", "deadline", "attempts"}
_S3 = _COMMON | {"region", "profile", "lock-days", "part-mib", "sse"}
_GS = _COMMON | {"project"}


def open_store(url: str, *, credentials_file: Path | None = None) -> Store:
    """Open `file:///DIR`, `s3://bucket/prefix?…`, `gs://bucket/prefix?…` or `memory:NAME`; docs/stores.md has all.

    Opening touches nothing. A file store's folder must exist: one that is not mounted must not be mistaken for an
    empty one.

    Args:
        url: The address; it never carries credentials.
        credentials_file: AWS credentials file to take the profile from, instead of the usual places.

    Raises:
        UsageError: No store has such an address.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise UsageError("A store URL carries no credentials", resolution="Use AWS_* variables or a profile")
    place = (parts.netloc, parts.path.strip("/"))
    if parts.scheme == "memory":
        return MemoryStore.named(parts.path)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return _open_s3(*place, _Query(url, _S3), credentials_file)
    if parts.scheme == "gs" and parts.netloc:
        return _open_gs(*place, _Query(url, _GS))
    raise UsageError(
        "No store has such an address",
        detail=url,
        resolution="Use file:///DIR, s3://bucket/prefix?endpoint=…&region=…, gs://bucket/prefix or memory:",
    )


class _Query:
    """The options of a URL, each known and of its type."""

    def __init__(self, url: str, known: set[str]) -> None:
        self._url = url
        self._options = dict(parse_qsl(urlsplit(url).query))
        unknown = set(self._options) - known
        if unknown:
            raise UsageError("The store URL has an unknown option", detail=f"{', '.join(sorted(unknown))} in {url}")

    def text(self, name: str) -> str | None:
        return self._options.get(name)

    def number(self, name: str, default: T, kind: Callable[[str], T], least: float) -> T:
        text = self._options.get(name)
        if text is None:
            return default
        try:
            value = kind(text)
            fits = least <= float(text) < _MOST
        except ValueError:
            fits = False
        if not fits:
            raise UsageError(f"{name} is a number from {least:g} up", detail=self._url)
        return value

    def retries(self) -> Retries:
        usual = Retries()
        return Retries(
            attempts=self.number("attempts", usual.attempts, int, 1),
            deadline=self.number("deadline", usual.deadline, float, 0),
        )


def _open_s3(bucket: str, prefix: str, query: _Query, credentials_file: Path | None) -> Store:
    from coffer.vault.stores.s3 import S3Store  # boto3 takes a third of a second to import
    from coffer.vault.stores.s3_client import S3Options

    usual = S3Options()
    sse = query.text("sse")
    if sse is not None and sse != "AES256" and not sse.startswith("aws:kms"):
        raise UsageError("sse is AES256, aws:kms or aws:kms:KEY", detail=sse)
    options = S3Options(
        endpoint=query.text("endpoint"),
        region=query.text("region"),
        profile=query.text("profile"),
        credentials_file=credentials_file,
        timeout=query.number("timeout", usual.timeout, float, 0.1),
        retries=query.retries(),
        part_bytes=query.number("part-mib", usual.part_bytes >> 20, int, 5) << 20,
        sse=sse,
        lock_days=query.number("lock-days", 0, int, 0),
    )
    return S3Store(bucket, prefix, options)


def _open_gs(bucket: str, prefix: str, query: _Query) -> Store:
    from coffer.vault.stores.gs import GsStore  # Google's client takes seconds to import
    from coffer.vault.stores.gs_client import GsOptions

    usual = GsOptions()
    options = GsOptions(
        endpoint=query.text("endpoint"),
        project=query.text("project"),
        timeout=query.number("timeout", usual.timeout, float, 0.1),
        retries=query.retries(),
    )
    return GsStore(bucket, prefix, options)
