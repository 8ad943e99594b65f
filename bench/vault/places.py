"""Where the tools keep their objects: a folder, or a bucket of a throw-away SeaweedFS that counts requests."""

from __future__ import annotations

import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import httpx

from bench.vault.tools import Address
from coffer.stack.services.buckets import ensure_bucket, s3_client
from coffer.stack.services.seaweedfs import S3Identity, SeaweedPorts, credentials_file, seaweedfs
from tests.services.throwaway import ThrowAway, free_ports

_BUCKET = "coffer-bench"
_REGION = "eu-bench"
_COUNTED = re.compile(r"^SeaweedFS_s3_request_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Place(Protocol):
    """Gives out empty places for objects and tells what is in them."""

    name: str
    server: int | None
    """Process that serves the objects, or None."""

    def fresh(self, folder: Path) -> Address:
        """Return an empty place; `folder` is the tool's own."""
        ...

    def stored(self, address: Address) -> tuple[int, int]:
        """Count objects and bytes."""
        ...

    def warm(self, address: Address) -> None:
        """Have everything in the page cache."""
        ...

    def requests(self) -> Counter[str]:
        """Return how many requests there were so far, by kind."""
        ...


class FolderPlace:
    """A folder beside the tool's own files."""

    name = "file"
    server: int | None = None

    def fresh(self, folder: Path) -> Address:
        store = folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir(parents=True)
        return Address(f"file://{store}", str(store), {})

    def stored(self, address: Address) -> tuple[int, int]:
        sizes = [path.stat().st_size for path in Path(address.restic).rglob("*") if path.is_file()]
        return len(sizes), sum(sizes)

    def warm(self, address: Address) -> None:
        for path in Path(address.restic).rglob("*"):
            if path.is_file():
                with path.open("rb", buffering=0) as stream:
                    while stream.read(4 << 20):
                        pass

    def requests(self) -> Counter[str]:
        return Counter()


class BucketPlace:
    """Prefixes of one bucket with versioning and Object Lock; both tools come as the same identity."""

    name = "s3"

    def __init__(self, folder: Path, server: ThrowAway, ports: SeaweedPorts, metrics: int, who: S3Identity) -> None:
        self.server: int | None = server.pid
        self._endpoint = f"http://127.0.0.1:{ports.s3}"
        self._metrics = f"http://127.0.0.1:{metrics}/metrics"
        self._who = who
        self._credentials = folder / "credentials"
        self._credentials.touch(0o600)
        self._credentials.write_text(credentials_file({"bench": who}))
        ensure_bucket(self._endpoint, _REGION, who, _BUCKET)
        self._client: Any = s3_client(self._endpoint, _REGION, who)

    def fresh(self, folder: Path) -> Address:
        prefix = f"{folder.name}-{secrets.token_hex(4)}"
        coffer = f"s3://{_BUCKET}/{prefix}?endpoint={self._endpoint}&region={_REGION}&profile=bench"
        environment = {
            "COFFER_AWS_CREDENTIALS": str(self._credentials),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._credentials),
            "AWS_PROFILE": "bench",
            "AWS_DEFAULT_REGION": _REGION,
        }
        return Address(coffer, f"s3:{self._endpoint}/{_BUCKET}/{prefix}", environment)

    def stored(self, address: Address) -> tuple[int, int]:
        sizes = [item["Size"] for item in self._items(address)]
        return len(sizes), sum(sizes)

    def warm(self, address: Address) -> None:
        for item in self._items(address):
            self._client.get_object(Bucket=_BUCKET, Key=item["Key"])["Body"].read()

    def _items(self, address: Address) -> Iterator[dict[str, Any]]:
        prefix = address.restic.rpartition("/")[2] + "/"
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix=prefix):
            yield from page.get("Contents", [])

    def requests(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        text = httpx.get(self._metrics, timeout=10, trust_env=False).text
        for match in _COUNTED.finditer(text):
            labels = dict(_LABEL.findall(match["labels"]))
            counted[labels.get("type", "?")] += int(float(match["count"]))
        return counted


@contextmanager
def open_place(kind: str, folder: Path) -> Iterator[Place]:
    """Give a place; its server ends with the block."""
    if kind == "file":
        yield FolderPlace()
        return
    folder.mkdir(parents=True, exist_ok=True)
    *eight, metrics = free_ports(9)
    ports = SeaweedPorts(*eight)
    who = S3Identity("bench", secrets.token_hex(10), secrets.token_hex(20), admin=True)
    service = seaweedfs("s3", folder / "seaweedfs", ports, (who,))
    counted = replace(service, argv=(*service.argv, f"-metricsPort={metrics}"))
    with ThrowAway(counted, folder / "s3.log") as server:
        yield BucketPlace(folder, server, ports, metrics, who)
