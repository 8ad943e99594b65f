"""From a store's URL to a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from coffer.errors import UsageError
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store

_S3_OPTIONS = {"endpoint", "region", "profile", "lock-days"}


def open_store(url: str, *, credentials_file: Path | None = None) -> Store:
    """Open `file:///DIR`, `s3://bucket/prefix?endpoint=…&region=…&profile=…&lock-days=…` or `memory:NAME`.

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
    if parts.scheme == "memory":
        return MemoryStore.named(parts.path)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return _open_s3(url, parts.netloc, parts.path.strip("/"), parts.query, credentials_file)
    raise UsageError(
        "No store has such an address",
        detail=url,
        resolution="Use file:///DIR, s3://bucket/prefix?endpoint=…&region=… or memory:",
    )


def _open_s3(url: str, bucket: str, prefix: str, query: str, credentials_file: Path | None) -> Store:
    options = dict(parse_qsl(query))
    unknown = set(options) - _S3_OPTIONS
    if unknown:
        raise UsageError("The store URL has an unknown option", detail=f"{', '.join(sorted(unknown))} in {url}")
    days = options.get("lock-days", "0")
    if not days.isdecimal():
        raise UsageError("lock-days is a number of days", detail=url)
    from coffer.vault.stores.s3 import S3Store  # boto3 takes a third of a second to import

    return S3Store(
        bucket,
        prefix,
        endpoint=options.get("endpoint"),
        region=options.get("region"),
        profile=options.get("profile"),
        credentials_file=credentials_file,
        lock_days=int(days),
    )
