"""An incremental's time must grow with the change, not with the cluster: the same change at ever larger sizes."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.postgres.bed import Bed
from bench.postgres.cluster import DATABASE, BenchServer, source_server
from bench.postgres.coffer_tool import Coffer
from bench.postgres.results import Measurement
from bench.postgres.rows import Row
from coffer.errors import StepFailed
from coffer.sources.postgres.programs import own

CHANGED_PAGES = 2_000

_BATCH = 50_000


def measure_growth(
    folder: Path, major: int, sizes: Sequence[int], *, rounds: int, patience: float, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return for each size the seconds of a full and the median of incrementals after the same change.

    Args:
        folder: Scratch folder; needs about 1.6 × the largest size.
        major: Version of PostgreSQL.
        sizes: Bytes of the cluster, ascending: it grows from one to the next.
        rounds: How many incrementals at each size.
        patience: Seconds to wait for a quiet machine before each command.
        tell: Takes a line after each measurement.
    """
    place = folder / f"growth-{major}"
    shutil.rmtree(place, ignore_errors=True)
    found: list[dict[str, Any]] = []
    server = source_server(place / "cluster", major)
    try:
        with server:
            _begin(server)
            for size in sizes:
                _grow(server, size)
                found.append(_at(server, place, size, rounds, patience))
                tell(f"{major}  {found[-1]}")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return found


def _at(server: BenchServer, place: Path, size: int, rounds: int, patience: float) -> dict[str, Any]:
    restored = place / "restored"
    restored.mkdir(exist_ok=True)
    own(restored, server.user)
    tool = Coffer(server, place / "coffer")
    try:
        bed = Bed(tool, restored, 1, patience=patience, prove_all=False)
        full = bed.backup(Row.FULL)
        every: list[Measurement] = []
        for turn in range(rounds):
            _change(server, turn)
            every.append(bed.backup(Row.TENTH))
    finally:
        tool.remove()
    return {
        "bytes": size,
        "full": full.seconds,
        "incremental": statistics.median(each.seconds for each in every),
        "spread": [min(each.seconds for each in every), max(each.seconds for each in every)],
        "stored": statistics.median(each.stored for each in every),
        "peak": max(each.peak for each in (full, *every)),
    }


def _begin(server: BenchServer) -> None:
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    with server.connect(DATABASE) as connection:
        connection.execute(
            "CREATE TABLE wide (number bigint PRIMARY KEY, touched int DEFAULT 0, filler text) WITH (fillfactor = 70)"
        )


def _grow(server: BenchServer, size: int) -> None:
    with server.connect(DATABASE) as connection:
        while True:
            row = connection.execute("SELECT pg_relation_size('wide')").fetchone()
            assert row
            if row[0] >= size:
                break
            connection.execute(
                "INSERT INTO wide SELECT g, 0, repeat(md5(g::text), 55) FROM generate_series(%s, %s) g",
                [(rows := _rows(connection)) + 1, rows + _BATCH],
            )
            _throw_away_log(server)
        connection.execute("VACUUM wide")
        connection.execute("CHECKPOINT")
    server.switch()
    _throw_away_log(server)


def _change(server: BenchServer, turn: int) -> None:
    """Update one row in pages spread evenly over the whole table; each has room for the new version."""
    with server.connect(DATABASE) as connection:
        stride = _rows(connection) // CHANGED_PAGES
        wanted = [number * stride + turn + 1 for number in range(CHANGED_PAGES)]
        done = connection.execute("UPDATE wide SET touched = touched + 1 WHERE number = ANY(%s)", [wanted])
        if done.rowcount != CHANGED_PAGES:
            raise StepFailed("the change is not what it should be", detail=f"{done.rowcount} rows")
        connection.execute("CHECKPOINT")
    server.switch()
    _throw_away_log(server)


def _rows(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT coalesce(max(number), 0) FROM wide").fetchone()
    assert row
    return int(row[0])


def _throw_away_log(server: BenchServer) -> None:
    """Nobody replays this log, and it would fill the disk."""
    newest = max((each.name for each in server.collected.iterdir()), default="")
    for each in server.collected.iterdir():
        if each.name < newest:
            each.unlink(missing_ok=True)
