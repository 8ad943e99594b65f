"""Makes a restored Redis ready for any server: what is in its dump goes into an append-only file too.

A server with `appendonly yes` that finds a dump but no append-only file starts empty (Redis 7), and would overwrite
the dump at its end. So a server of our own loads the dump, writes the other form, and ends.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import redis

from coffer.errors import StepFailed
from coffer.processes import run

_SECONDS = 120
_POLL = 0.05


def make_startable(data: Path, work: Path) -> int:
    """Write the append-only file beside the dump; return the number of keys.

    Args:
        data: The restored folder, ours alone.
        work: Folder for the socket and the log.

    Raises:
        StepFailed: Redis did not load the dump or did not write the file.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    socket = work / "redis.sock"
    run(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", data,
         "--appendonly", "no", "--save", "", "--daemonize", "yes", "--logfile", work / "redis.log"],
        timeout=_SECONDS,
    )  # fmt: skip
    with redis.Redis(unix_socket_path=str(socket), socket_timeout=_SECONDS) as server:
        try:
            _until(lambda: _loaded(server), "Redis loads its dump", work)
            keys = sum(int(database["keys"]) for database in server.info("keyspace").values())
            server.config_set("appendonly", "yes")
            _until(lambda: _rewritten(server), "Redis writes its append-only file", work)
        finally:
            server.shutdown(nosave=True)
    _until(lambda: not socket.exists(), "Redis ends", work)
    shutil.rmtree(work)
    return keys


def answers(socket: Path) -> bool:
    """Tell whether a Redis answers."""
    try:
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=2) as server:
            return bool(server.ping())
    except redis.RedisError:
        return False


def shut_down(socket: Path) -> None:
    """End the Redis at a socket, if there is one; its append-only file is flushed, its folder may be gone."""
    if not answers(socket):
        return
    with redis.Redis(unix_socket_path=str(socket), socket_timeout=_SECONDS) as server:
        server.shutdown(nosave=True, now=True, force=True)
    _until(lambda: not answers(socket), "Redis ends", socket.parent)


def _loaded(server: redis.Redis) -> bool:
    try:
        return int(server.info("persistence")["loading"]) == 0
    except redis.RedisError:
        return False


def _rewritten(server: redis.Redis) -> bool:
    said = server.info("persistence")
    busy = said["aof_rewrite_in_progress"] or said["aof_rewrite_scheduled"]
    return not busy and said["aof_enabled"] == 1 and said["aof_last_bgrewrite_status"] == "ok"


def _until(condition: Callable[[], bool], what: str, work: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            log = work / "redis.log"
            tail = log.read_text(errors="replace")[-500:] if log.exists() else ""
            raise StepFailed(f"{what}: not within {_SECONDS} s", detail=tail)
        time.sleep(_POLL)
