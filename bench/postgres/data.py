"""What is in the clusters, made from a seed, and how it changes."""

# ruff: noqa: S608 - the names in the queries are this bench's own
from __future__ import annotations

import random
from pathlib import Path

import psycopg

from bench.postgres.cluster import DATABASE, BenchServer
from coffer.processes import run
from coffer.sources.postgres.programs import run_as

_SCALE_BYTES = 16_000_000
_BLOB = 48 << 10
_BLOB_SHARE = 0.09
_TABLE_BYTES = 48 << 10
_BATCH = 20_000
_GENERATION_SECONDS = 1800
MARKER = "bench_marker"


class Data:
    """A pgbench table, incompressible blobs, and thousands of small tables.

    Args:
        server: Where it is; running.
        bytes_: About how many.
        tables: How many small tables; each is six files.
        seed: What everything is made from.
    """

    def __init__(self, server: BenchServer, bytes_: int, tables: int, seed: int = 1) -> None:
        self._server, self._bytes, self._tables = server, bytes_, tables
        self._random = random.Random(seed)

    def make(self) -> None:
        """Fill the cluster, unless it is filled already."""
        with self._server.connect() as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                return
            connection.execute(f"CREATE DATABASE {DATABASE}_new")
        new = f"{DATABASE}_new"
        self._pgbench(new)
        with self._server.connect(new) as connection:
            self._blobs(connection)
            self._small(connection)
            connection.execute("CREATE EXTENSION amcheck")
            connection.execute(f"CREATE TABLE {MARKER} (written bigint PRIMARY KEY)")
            connection.execute("VACUUM (FREEZE, ANALYZE)")
        with self._server.connect() as connection:
            connection.execute(f"ALTER DATABASE {new} RENAME TO {DATABASE}")
            connection.execute("CHECKPOINT")
        self._server.forget_collected()

    def change(self, percent: float) -> int:
        """Update one row in so many of the large table's pages, spread at random; returns how many."""
        with self._server.connect(DATABASE) as connection:
            pages, rows = self._shape(connection)
            count = max(1, round(pages * percent / 100))
            self._update(connection, self._random.sample(range(pages), count), rows)
            connection.execute("CHECKPOINT")
        self._server.switch()
        return count

    def write_log(self, segments: int, marker: int) -> tuple[list[str], str]:
        """Fill so many segments, then write the marker and close the one that holds it.

        Returns:
            Names of the segments, and the position right behind the marker.
        """
        first = self._server.switch()
        with self._server.connect(DATABASE) as connection:
            pages, rows = self._shape(connection)
            while len(self._after(first)) < segments - 1:
                connection.execute("CHECKPOINT")  # so that pages go into the log whole, as in a database at work
                for _ in range(4):
                    self._update(connection, self._random.sample(range(pages), min(pages, _BATCH)), rows)
                    if len(self._after(first)) >= segments - 1:
                        break
            self._server.drain()
            connection.execute(f"INSERT INTO {MARKER} VALUES (%s)", [marker])
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row
        self._server.switch()
        return self._after(first), str(row[0])

    def describe(self) -> str:
        """Say in a sentence what it is."""
        folder = self._server.data
        sizes = [path.stat().st_size for part in ("base", "global") for path in (folder / part).rglob("*")]
        return (
            f"{sum(sizes) / 1e9:.2f} GB in {len(sizes):,} files: a pgbench table, {_BLOB_SHARE:.0%} incompressible "
            f"blobs, {self._tables:,} small tables with indexes; page checksums on, autovacuum off"
        )

    def _after(self, first: str) -> list[str]:
        return [name for name in self._server.segments() if name > first]

    def _shape(self, connection: psycopg.Connection) -> tuple[int, int]:
        """Return the large table's pages and rows in each."""
        found = connection.execute(
            "SELECT relpages, reltuples::bigint FROM pg_class WHERE relname = 'pgbench_accounts'"
        ).fetchone()
        assert found
        return found[0], found[1] // found[0]

    def _update(self, connection: psycopg.Connection, pages: list[int], rows: int) -> None:
        wanted = [page * rows + self._random.randrange(rows) + 1 for page in pages]
        connection.execute(
            "UPDATE pgbench_accounts SET abalance = abalance + 1 FROM unnest(%s::int[]) AS wanted WHERE aid = wanted",
            [wanted],
        )

    def _pgbench(self, database: str) -> None:
        small = self._tables * _TABLE_BYTES
        scale = max(1, round((self._bytes * (1 - _BLOB_SHARE) - small) / _SCALE_BYTES))
        run(
            [self._server.programs.path("pgbench"), "-i", "-q", "-I", "dtGvp", "-F", "90", "-s", str(scale), database],
            timeout=_GENERATION_SECONDS,
            environment=self._server.environment(),
            user=run_as(self._server.user),
            directory=Path("/"),
        )

    def _blobs(self, connection: psycopg.Connection) -> None:
        connection.execute("CREATE TABLE blobs (number int PRIMARY KEY, content bytea)")
        connection.execute("ALTER TABLE blobs ALTER content SET STORAGE EXTERNAL")
        with connection.cursor().copy("COPY blobs FROM STDIN") as copy:
            for number in range(round(self._bytes * _BLOB_SHARE) // _BLOB):
                copy.write_row((number, self._random.randbytes(_BLOB)))

    def _small(self, connection: psycopg.Connection) -> None:
        for start in range(0, self._tables, 100):
            names = [f"small_{number}" for number in range(start, min(self._tables, start + 100))]
            connection.execute(
                "".join(
                    f"CREATE TABLE {name} (number int PRIMARY KEY, said text, again text);"
                    f"CREATE INDEX ON {name} (said);"
                    f"INSERT INTO {name} SELECT g, md5(g::text), '{name}' FROM generate_series(1, 20) g;"
                    for name in names
                )
            )
