"""Redis, reached by a UNIX socket that a container can mount."""

from __future__ import annotations

from pathlib import Path

import redis as client

from coffer.stack import files
from coffer.stack.service import Service


def redis(name: str, directory: Path, socket_directory: Path) -> Service:
    """Return a Redis that listens on no TCP port and keeps every write.

    Args:
        name: Service name, such as `redis-production`.
        directory: Its own folder, for configuration and data.
        socket_directory: Where `redis.sock` appears; this folder is what a container mounts.
    """
    config, data = directory / "redis.conf", directory / "data"
    socket = socket_directory / "redis.sock"

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        socket_directory.mkdir(parents=True, exist_ok=True)
        files.write(config, configuration(data, socket))

    def ready() -> str | None:
        try:
            with client.Redis(unix_socket_path=str(socket), socket_timeout=2) as connection:
                connection.ping()
        except client.RedisError as error:
            return f"{socket}: {error}"
        return None

    return Service(
        name=name,
        argv=("redis-server", str(config)),
        ready=ready,
        address=f"unix://{socket}",
        directory=directory,
        prepare=prepare,
    )


def configuration(data: Path, socket: Path) -> str:
    """Return redis.conf: no TCP, append-only file on."""
    return f"""port 0
unixsocket {socket}
# The folder decides who comes near it; the service's user inside a container is neither root nor in our group.
unixsocketperm 777
dir {data}
appendonly yes
appendfsync everysec
save 3600 1 300 100
daemonize no
supervised no
"""
