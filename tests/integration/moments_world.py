"""A database under load, recovery points of every kind taken meanwhile, and a ledger of its commits kept outside."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget, TargetKind, choose_point
from coffer.sources.postgres.programs import Programs, run_as
from coffer.sources.postgres.server import PostgresServer
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from tests.integration.postgres_world import DATABASE, World

KINDS = (Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.DIFFERENTIAL)


@dataclass(frozen=True)
class Commit:
    """What one transaction did, and the moment right after it, named in three ways.

    Attributes:
        added: Number of the row that it inserted.
        removed: Number of the row that it deleted; 0 for none.
        at: The database's clock right after.
        lsn: End of its log right after.
        name: Restore point made right after; empty for most.
    """

    added: int
    removed: int
    at: datetime
    lsn: str
    name: str


class MomentsWorld(World):
    """`load()` runs pgbench and the writer; `take_all()` takes a point of each kind; `moments()` draws."""

    def __init__(self, folder: Path, server: PostgresServer, installation: Programs | None = None) -> None:
        super().__init__(folder, server)
        self.installation = installation
        self.commits: list[Commit] = []
        self.points: list[Point] = []
        self.execute("CREATE TABLE moments (number int PRIMARY KEY, word text NOT NULL)")
        self._bench("--initialize", "--scale=2", "--quiet")

    def scratch(self) -> Scratch:
        return Scratch(installation=self.installation)

    @contextmanager
    def load(self) -> Iterator[None]:
        stop = threading.Event()
        failed: list[BaseException] = []
        bench = subprocess.Popen(self._words("--client=2", "--time=600", "--rate=150"), **self._options())
        thread = threading.Thread(target=lambda: self._commit_until(stop, failed))
        thread.start()
        try:
            yield
            assert bench.poll() is None, "pgbench ended"
        finally:
            stop.set()
            thread.join(30)
            bench.terminate()
            bench.wait(30)
        assert not failed, failed

    def take_all(self, *, commits_between: int) -> None:
        for kind in KINDS:
            self.wait_commits(commits_between)
            self.points.append(self.take(kind))
        self.wait_commits(commits_between)

    def wait_commits(self, count: int) -> None:
        wanted, deadline = len(self.commits) + count, time.monotonic() + 60
        while len(self.commits) < wanted:
            assert time.monotonic() < deadline, "nothing is committed any more"
            time.sleep(0.02)

    def moments(self, count: int, seed: int) -> list[tuple[Point, RestoreTarget, set[int]]]:
        """Draw moments after the first point, each with the point to begin from and the rows that must be there."""
        drawn, source = random.Random(seed), self.points[0].source("postgres")
        assert source
        stopped = datetime.fromisoformat(str(source.facts["stopped"]))
        first = next(number for number, commit in enumerate(self.commits) if commit.at > stopped)
        numbers = [drawn.randrange(first, len(self.commits)) for _ in range(count)]
        named = [number for number in range(first, len(self.commits)) if self.commits[number].name]
        numbers[-1] = drawn.choice(named)
        ways = [TargetKind.TIME, TargetKind.LSN] * count
        return [
            self._moment(number, TargetKind.NAME if number == numbers[-1] else ways[at])
            for at, number in enumerate(numbers)
        ]

    def _moment(self, number: int, way: TargetKind) -> tuple[Point, RestoreTarget, set[int]]:
        commit = self.commits[number]
        by_time = RestoreTarget.at_time(commit.at)
        target = {
            TargetKind.TIME: by_time,
            TargetKind.LSN: RestoreTarget.at_lsn(commit.lsn),
            TargetKind.NAME: RestoreTarget(TargetKind.NAME, commit.name),
        }[way]
        rows: set[int] = set()
        for each in self.commits[: number + 1]:
            rows = (rows | {each.added}) - {each.removed}
        return choose_point(self.points, "postgres", by_time), target, rows

    def _commit_until(self, stop: threading.Event, failed: list[BaseException]) -> None:
        drawn = random.Random(1)
        try:
            with self.server.connect(DATABASE) as connection:
                while not stop.is_set():
                    number = len(self.commits) + 1
                    removed = drawn.randrange(1, number) if number % 3 == 0 else 0
                    with connection.transaction():
                        connection.execute("INSERT INTO moments VALUES (%s, repeat('m', 300))", [number])
                        connection.execute("DELETE FROM moments WHERE number = %s", [removed])
                    row = connection.execute("SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text").fetchone()
                    name = f"moment-{number}" if number % 5 == 0 else ""
                    if name:
                        connection.execute("SELECT pg_create_restore_point(%s)", [name])
                    assert row
                    self.commits.append(Commit(number, removed, row[0], row[1], name))
                    stop.wait(0.02)
        except BaseException as error:
            failed.append(error)

    def _bench(self, *words: str) -> None:
        subprocess.run(self._words(*words), check=True, **self._options())

    def _words(self, *words: str) -> list[str]:
        server = self.server
        return [str(server.programs.path("pgbench")), "--host", str(server.socket_dir), "--port", str(server.port),
                "--username", server.superuser, *words, DATABASE]  # fmt: skip

    def _options(self) -> dict[str, Any]:
        return {
            "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": run_as(self.server.user),
            "cwd": "/", "env": self.server.environment(),
        }  # fmt: skip


def rows_of(scratch: Scratch) -> set[int]:
    """Return the rows of a restored cluster, read from the table itself."""
    with scratch.server.connect(DATABASE) as connection:
        connection.execute("SET enable_indexonlyscan = off; SET enable_indexscan = off; SET enable_bitmapscan = off")
        return {row[0] for row in connection.execute("SELECT number FROM moments").fetchall()}


def balanced(scratch: Scratch) -> bool:
    """Tell whether pgbench's own books agree, as they must after every whole number of its transactions."""
    with scratch.server.connect(DATABASE) as connection:
        sums = [
            connection.execute(f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}").fetchone()
            for column, table in (("abalance", "accounts"), ("bbalance", "branches"), ("delta", "history"))
        ]
    return sums[0] == sums[1] == sums[2]
