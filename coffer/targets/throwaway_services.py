"""PostgreSQL and Redis for the time of a test, laid out like an environment's directory on a Docker host."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from coffer.errors import OutsideSystemError, StepFailed
from coffer.sources.postgres.server import PostgresServer

_POSTGRES, _REDIS = "sockets/postgres", "sockets/redis"
_REDIS_READY = 20.0  # seconds
# A power cut ends the test anyway: no write has to wait for the disk.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


@dataclass(frozen=True)
class ThrowawayServices:
    """What a service under test gets instead of the real thing.

    Attributes:
        directory: Mirrors an environment's directory: `sockets/postgres`, `sockets/redis`, and the mounted folders.
        database_url: The database as a container sees it.
        redis_url: Redis as a container sees it.
        conninfo: The database as this machine's superuser sees it.
    """

    directory: Path
    database_url: str
    redis_url: str
    conninfo: str


@contextmanager
def throwaway_services(name: str, mounts: Mapping[str, str], user: int) -> Iterator[ThrowawayServices]:
    """Run an empty PostgreSQL and an empty Redis; afterwards nothing is left.

    Args:
        name: Database and role.
        mounts: The environment's mounts: container path → folder of its directory. Other folders are made too.
        user: Account in the container, which must be able to write there.

    Raises:
        OutsideSystemError: One of them is not installed.
        StepFailed: One of them does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="coffer-tests-"))
    directory.chmod(0o711)  # PostgreSQL's account and the container's must get through
    server = PostgresServer(directory / "postgres", port=5432, socket_dir=directory / _POSTGRES, settings=_FAST)
    try:
        _make_folders(directory, mounts, user)
        with server, _redis(directory):
            password = secrets.token_hex(16)
            server.ensure_role(name, password)
            server.ensure_database(name, name)
            inside = {outside.partition(":")[0]: path for path, outside in mounts.items()}
            yield ThrowawayServices(
                directory,
                f"postgresql://{name}:{password}@/{name}?host={inside.get(_POSTGRES, '/run/postgres')}",
                f"unix://{inside.get(_REDIS, '/run/redis')}/redis.sock",
                server.conninfo(name),
            )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _make_folders(directory: Path, mounts: Mapping[str, str], user: int) -> None:
    for outside in {_POSTGRES, _REDIS, *(each.partition(":")[0] for each in mounts.values())}:
        folder = directory / outside
        folder.mkdir(parents=True, exist_ok=True)
        if outside not in (_POSTGRES, _REDIS):
            os.chown(folder, user, user)


@contextmanager
def _redis(directory: Path) -> Iterator[None]:
    socket = directory / _REDIS / "redis.sock"
    argv = [
        "redis-server", "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "777",
        "--dir", str(socket.parent), "--save", "", "--appendonly", "no",
    ]  # fmt: skip
    with (directory / "redis.log").open("wb") as log:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        except FileNotFoundError as error:
            raise OutsideSystemError("redis-server is not installed", resolution="apt install redis-server") from error
        try:
            _wait_for_redis(process, socket, directory / "redis.log")
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_for_redis(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + _REDIS_READY
    while True:
        try:
            with redis.Redis(unix_socket_path=str(socket), socket_timeout=2) as client:
                client.ping()
            return
        except redis.RedisError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise StepFailed("Redis does not start", detail=log.read_text(errors="replace")[-800:]) from error
        time.sleep(0.05)
