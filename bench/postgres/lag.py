"""How long what is committed is not yet in the vault, while `coffer wal receive` runs under load."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.postgres.cluster import DATABASE, BenchServer
from bench.postgres.coffer_tool import Coffer
from bench.vault.measuring import run
from coffer.errors import StepFailed

_TICK = 0.01
_LOAD_PER_SECOND = 300
_START_SECONDS = 60


def measure_lag(server: BenchServer, folder: Path, seconds: float) -> dict[str, float]:
    """Return percentiles of seconds from a flush in PostgreSQL to the vault's word that it is durable there.

    Raises:
        StepFailed: The receiver ended, or never came to the log.
    """
    tool = Coffer(server, folder / f"lag-{server.major}")
    try:
        for command in tool.create():
            run(command)
        with _running(tool, folder / f"receive-{server.major}.log") as receiver, server.connect(DATABASE) as connection:
            _wait_streaming(connection, receiver)
            with _load(server, seconds):
                lags = _watch(connection, receiver, seconds)
    finally:
        with server.connect() as connection:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bench'"
            )
        tool.remove()
    cut = statistics.quantiles(lags, n=100)
    return {
        "samples": len(lags),
        "p50": cut[49],
        "p99": cut[98],
        "most": max(lags),
        "load_per_second": _LOAD_PER_SECOND,
    }


def _watch(connection: psycopg.Connection, receiver: subprocess.Popen[bytes], seconds: float) -> list[float]:
    waiting: deque[tuple[float, int]] = deque()
    lags: list[float] = []
    until, give_up = time.monotonic() + seconds, time.monotonic() + seconds + _START_SECONDS
    newest = 0
    while time.monotonic() < until or waiting:
        if receiver.poll() is not None or time.monotonic() > give_up:
            raise StepFailed("the receiver does not keep up, or ended")
        row = connection.execute(
            "SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn, "
            "(SELECT flush_lsn - '0/0'::pg_lsn FROM pg_stat_replication WHERE flush_lsn IS NOT NULL LIMIT 1)"
        ).fetchone()
        now = time.monotonic()
        assert row
        if row[0] > newest and now < until:
            newest = row[0]
            waiting.append((now, newest))
        while waiting and row[1] is not None and waiting[0][1] <= row[1]:
            lags.append(now - waiting.popleft()[0])
        time.sleep(_TICK)
    return lags


def _wait_streaming(connection: psycopg.Connection, receiver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    query = "SELECT 1 FROM pg_stat_replication WHERE flush_lsn IS NOT NULL"
    while not connection.execute(query).fetchone():
        if receiver.poll() is not None or time.monotonic() > deadline:
            raise StepFailed("the receiver does not receive")
        time.sleep(0.1)


@contextmanager
def _running(tool: Coffer, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as said:
        process = subprocess.Popen(list(tool.receiving.argv), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    except StepFailed as error:
        raise StepFailed(error.summary, detail=log.read_text(errors="replace")[-1000:]) from error
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _load(server: BenchServer, seconds: float) -> Iterator[None]:
    words = ["pgbench", "-n", "-N", "-c", "2", "-R", str(_LOAD_PER_SECOND), "-T", str(round(seconds) + 5), DATABASE]
    argv = server.as_account(server.programs.path(words[0]), *words[1:])
    environment = {**server.environment(), "PGOPTIONS": "-c synchronous_commit=on"}
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd="/"
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
