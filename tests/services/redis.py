"""A throw-away Redis on a UNIX socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.stack.services.redis import redis
from tests.services.throwaway import ThrowAway


class Redis(ThrowAway):
    """`socket` is its address, `url` the same as redis-py reads it."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "sockets" / "redis.sock"
        self.url = f"unix://{self.socket}"
        super().__init__(redis("redis", directory / "redis", self.socket.parent), directory / "redis.log")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server
