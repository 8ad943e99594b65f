"""A throw-away S3 region: SeaweedFS with an admin and the vault's three roles, one bucket with versions and locks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coffer.stack.services.buckets import ensure_bucket, s3_client
from coffer.stack.services.s3_policies import ROLES
from coffer.stack.services.seaweedfs import S3Identity, SeaweedPorts, credentials_file, seaweedfs
from tests.services.throwaway import ThrowAway, free_ports

BUCKET = "coffer-test"
REGION = "eu-test"


class S3(ThrowAway):
    """One region.

    `endpoint`, `region`, `bucket`; `credentials_file` has the profiles `admin`, `reader`, `writer` and `pruner`;
    `client("writer")` is a raw boto3 client; `url("prefix")` is a store address for the writer.
    """

    def __init__(self, directory: Path, *, bucket: str = BUCKET, region: str = REGION) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        ports = SeaweedPorts(*free_ports(8))
        self.endpoint, self.region, self.bucket = f"http://127.0.0.1:{ports.s3}", region, bucket
        self.admin = S3Identity("admin", secrets.token_hex(10), secrets.token_hex(20), admin=True)
        people = [S3Identity(role, secrets.token_hex(10), secrets.token_hex(20), role=role) for role in ROLES]
        self._identities = {each.name: each for each in (self.admin, *people)}
        self.credentials_file = directory / "aws-credentials"
        self.credentials_file.touch(mode=0o600)
        self.credentials_file.write_text(credentials_file(self._identities))
        super().__init__(
            seaweedfs("s3", directory / "seaweedfs", ports, tuple(self._identities.values())), directory / "s3.log"
        )

    def start(self) -> None:
        super().start()
        self.make_bucket(self.bucket)

    def make_bucket(self, name: str) -> None:
        """Make one more bucket with versioning and Object Lock."""
        ensure_bucket(self.endpoint, self.region, self.admin, name)

    def client(self, who: str) -> Any:
        """Return a boto3 client of one of the profiles."""
        return s3_client(self.endpoint, self.region, self._identities[who])

    def url(self, prefix: str = "vault", *, profile: str = "writer") -> str:
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}&region={self.region}&profile={profile}"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One region for the whole session: give each test a prefix of its own."""
    with S3(tmp_path_factory.mktemp("s3")) as server:
        yield server
