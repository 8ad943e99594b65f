"""The throw-away services do what every other test relies on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import redis
from botocore.exceptions import ClientError

from coffer.errors import StepFailed
from coffer.stack.service import Service
from tests.services.postgres import Postgres
from tests.services.redis import Redis
from tests.services.registry import Registry
from tests.services.s3 import S3
from tests.services.throwaway import ThrowAway

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory):
    with S3(tmp_path_factory.mktemp("region")) as server:
        yield server


def test_the_writer_adds_and_reads_but_overwrites_nothing(region: S3) -> None:
    writer = region.client("writer")
    writer.put_object(Bucket=region.bucket, Key="once", Body=b"1", IfNoneMatch="*", ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        writer.put_object(Bucket=region.bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert writer.get_object(Bucket=region.bucket, Key="once")["Body"].read() == b"1"
    with pytest.raises(ClientError, match="NoSuchKey"):
        writer.get_object(Bucket=region.bucket, Key="never")


def test_the_writer_deletes_nothing_and_shortens_no_lock(region: S3) -> None:
    writer, until = region.client("writer"), datetime.now(UTC) + timedelta(minutes=10)
    version = writer.put_object(
        Bucket=region.bucket, Key="kept", Body=b"1", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(minutes=10)}
    writer.put_object_retention(Bucket=region.bucket, Key="kept", Retention=lock)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": until - timedelta(minutes=5)}
    attempts = {
        "delete": lambda: writer.delete_object(Bucket=region.bucket, Key="kept"),
        "delete a version": lambda: writer.delete_object(Bucket=region.bucket, Key="kept", VersionId=version),
        "bypass": lambda: writer.delete_object(
            Bucket=region.bucket, Key="kept", VersionId=version, BypassGovernanceRetention=True
        ),
        "shorten": lambda: writer.put_object_retention(
            Bucket=region.bucket, Key="kept", Retention=shorter, BypassGovernanceRetention=True
        ),
        "make a bucket": lambda: writer.create_bucket(Bucket="of-its-own"),
    }
    for name, attempt in attempts.items():
        with pytest.raises(ClientError, match="AccessDenied") as refusal:
            attempt()
        assert refusal.value.response["Error"]["Code"] == "AccessDenied", name
    many = writer.delete_objects(Bucket=region.bucket, Delete={"Objects": [{"Key": "kept"}]})
    assert many["Errors"][0]["Code"] == "AccessDenied"


def test_a_killed_region_comes_back_with_what_it_acknowledged(tmp_path: Path) -> None:
    with S3(tmp_path) as server:
        body = bytes(range(256)) * 4096
        server.client("writer").put_object(Bucket=server.bucket, Key="big", Body=body)
        server.kill()
        server.start()
        assert server.client("writer").get_object(Bucket=server.bucket, Key="big")["Body"].read() == body


def test_redis_keeps_what_it_was_given(tmp_path: Path) -> None:
    with Redis(tmp_path) as server:
        redis.Redis.from_url(server.url).set("session", "1")
        server.stop()
        server.start()
        assert redis.Redis.from_url(server.url).get("session") == b"1"


def test_the_registry_answers(tmp_path: Path) -> None:
    with Registry(tmp_path) as server:
        assert httpx.get(f"http://{server.address}/v2/_catalog").json() == {"repositories": []}


def test_a_service_that_dies_says_its_last_words(tmp_path: Path) -> None:
    service = Service("doomed", ("sh", "-c", "echo no such luck; exit 3"), ready=lambda: "never", address="")
    with pytest.raises(StepFailed, match=r"doomed ended with 3: no such luck"), ThrowAway(service, tmp_path / "log"):
        pytest.fail("it must not start")


def test_postgres_answers(tmp_path: Path) -> None:
    with Postgres(tmp_path) as server, server.connect() as connection:
        assert connection.execute("SHOW summarize_wal").fetchone() == ("on",)
