"""A restore that is fast and wrong counts for nothing: amcheck, and a hash over every row."""

# ruff: noqa: S608 - the names in the queries are this bench's own
from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg

from bench.postgres.cluster import DATABASE, BenchServer, restored_server
from bench.postgres.data import MARKER
from coffer.errors import StepFailed, Unreachable
from coffer.processes import run
from coffer.sources.postgres.programs import run_as

Hashes = dict[str, tuple[int, str]]
_SECONDS = 900
_LARGE = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "blobs", MARKER)


def row_hashes(server: BenchServer) -> Hashes:
    """Return count and sum of hashes of the rows of each table, indexes not trusted."""
    with server.connect(DATABASE) as connection:
        connection.execute("SET enable_indexonlyscan = off; SET enable_indexscan = off; SET enable_bitmapscan = off")
        found = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'small\\_%' AND relkind = 'r'")
        small = sorted(str(row[0]) for row in found.fetchall())
        hashes = {name: _hash(connection, f"SELECT hash_record_extended(t, 0) h FROM {name} t") for name in _LARGE}
        for start in range(0, len(small), 500):
            rows = " UNION ALL ".join(
                f"SELECT hash_record_extended(t, 0) h FROM {name} t" for name in small[start : start + 500]
            )
            hashes[f"small_{start}…"] = _hash(connection, rows)
    return hashes


def check_cluster(server: BenchServer, expected: Hashes) -> str:
    """Compare rows with what they were and have amcheck look at every relation.

    Returns:
        What was proven, in words.

    Raises:
        StepFailed: The cluster is not what it was.
    """
    found = row_hashes(server)
    if found != expected:
        wrong = sorted(name for name in expected if found.get(name) != expected[name])
        raise StepFailed("the restored rows are not the source's", detail=", ".join(wrong[:5]))
    run(
        [server.programs.path("pg_amcheck"), "--jobs", "2", DATABASE],
        timeout=_SECONDS,
        environment=server.environment(),
        user=run_as(server.user),
        directory=Path("/"),
    )
    return "rows equal, amcheck clean"


def check_restored(data: Path, source: BenchServer, expected: Hashes) -> str:
    """Start a restored data folder at its first consistent moment and check it; stops it again."""
    (data / "recovery.signal").touch(0o600)
    command = f"cp {source.collected}/%f %p"
    server = restored_server(data, source, {"restore_command": command, "recovery_target": "immediate",
                                            "recovery_target_action": "promote"})  # fmt: skip
    _give(data / "recovery.signal", data)
    server.launch()
    try:
        wait_for_query(server, None, timeout=_SECONDS)
        return check_cluster(server, expected)
    finally:
        server.stop(immediate=True)


def wait_for_query(server: BenchServer, marker: int | None, *, timeout: float) -> None:
    """Wait until the server is promoted and, if one is given, the marker is in its table.

    Raises:
        StepFailed: It ended, or took too long, or answers without the marker.
    """
    deadline = time.monotonic() + timeout
    while not _promoted(server):
        if not server.running():
            raise StepFailed("the restored PostgreSQL ended", detail=server.log_tail())
        if time.monotonic() > deadline:
            raise StepFailed("the restored PostgreSQL does not open", detail=server.log_tail())
        time.sleep(0.02)
    if marker is None:
        return
    with server.connect(DATABASE) as connection:
        if not connection.execute(f"SELECT 1 FROM {MARKER} WHERE written = %s", [marker]).fetchone():
            raise StepFailed("the restored PostgreSQL opened without the last rows", detail=server.log_tail())


def _promoted(server: BenchServer) -> bool:
    try:
        with server.connect(DATABASE, connect_timeout=3) as connection:
            row = connection.execute("SELECT NOT pg_is_in_recovery()").fetchone()
            return bool(row and row[0])
    except (psycopg.OperationalError, Unreachable):
        return False


def _hash(connection: psycopg.Connection, rows: str) -> tuple[int, str]:
    found = connection.execute(f"SELECT count(*), coalesce(sum(h::numeric), 0)::text FROM ({rows}) each").fetchone()
    assert found
    return int(found[0]), str(found[1])


def _give(path: Path, like: Path) -> None:
    owner = like.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
