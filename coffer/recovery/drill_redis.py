"""Starts Redis on what came back, cut off from everything, and counts its keys."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import redis

from coffer.errors import IntegrityError, OutsideSystemError, StepFailed
from coffer.sources.postgres.programs import own, run_as
from coffer.vault.capture import Fact

_READY = 60.0
_POLL = 0.02


@contextmanager
def redis_on(data: Path, socket: Path, *, user: str, wrapper: tuple[str, ...]) -> Iterator[None]:
    """Run redis-server on a folder, reached over a UNIX socket only; nothing is ever saved.

    Args:
        data: Folder with `dump.rdb`.
        socket: Where the socket goes.
        user: Account to run as.
        wrapper: What cuts it off; it changes to the account itself.

    Raises:
        OutsideSystemError: It is not installed.
        StepFailed: It does not start on this data; the end of its log says why.
    """
    socket.parent.mkdir(parents=True, exist_ok=True)
    for folder in (data, socket.parent):
        own(folder, user)
    argv = [
        *wrapper, "redis-server", "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "777",
        "--dir", str(data), "--dbfilename", "dump.rdb", "--save", "", "--appendonly", "no",
    ]  # fmt: skip
    account = None if wrapper else run_as(user)
    log = data.with_name(f"{data.name}.log")
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=data, user=account, group=account,
                extra_groups=[] if account else None, start_new_session=True, env=dict(os.environ),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise OutsideSystemError("redis-server is not installed", resolution="apt install redis-server") from error
    try:
        _wait(process, socket, log)
        yield
    finally:
        process.terminate()
        process.wait()


def keys_are_there(socket: Path, facts: Mapping[str, Fact]) -> str:
    """Compare the keys that came back with those that the capture counted; what has expired since may be gone.

    Raises:
        IntegrityError: Keys without an end are gone.
    """
    with redis.Redis(unix_socket_path=str(socket), socket_timeout=30) as client:
        found = cast("Mapping[str, Mapping[str, int]]", client.info("keyspace"))
    counted, expires = (_numbers(facts.get(name)) for name in ("keys", "expires"))
    now = {name: int(values.get("keys", 0)) for name, values in found.items()}
    # Where the capture did not count those with an end, any of them may have expired since.
    lasting = {name: count - expires.get(name, count) for name, count in counted.items()}
    wrong = [
        f"{name} has {now.get(name, 0)} keys of {least}" for name, least in lasting.items() if now.get(name, 0) < least
    ]
    if wrong:
        raise IntegrityError("Redis came back without some of its keys", detail="; ".join(wrong))
    return f"{sum(now.values())} keys"


def _numbers(fact: Fact) -> dict[str, int]:
    if not isinstance(fact, Mapping):
        return {}
    return {name: value for name, value in fact.items() if isinstance(value, int)}


def _wait(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + _READY
    while True:
        if process.poll() is not None:
            raise StepFailed("Redis does not start on what came back", detail=_tail(log))
        try:
            with redis.Redis(unix_socket_path=str(socket), socket_timeout=2) as client:
                client.ping()
                return
        except redis.RedisError:  # not there yet, or still loading
            if time.monotonic() > deadline:
                raise StepFailed(f"Redis was not ready within {_READY:g} s", detail=_tail(log)) from None
        time.sleep(_POLL)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-800:].strip()
