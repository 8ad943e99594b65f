"""A chain of points that were read directly from the data folder while pgbench wrote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from coffer.processes import run
from coffer.recovery.replaying import ISOLATED
from coffer.recovery.scratch import Scratch
from coffer.sources.postgres.programs import own, run_as
from coffer.sources.postgres.server import PostgresServer
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from tests.integration.postgres_world import DATABASE, World

TABLES = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "visible", "shrunk", "apart")


class DirectWorld(World):
    """`chain` takes a full point, two incrementals and a differential; `hashes` is how it all ended."""

    points: dict[str, Point]
    hashes: dict[str, object]

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder, server)
        self.conninfo = server.conninfo(DATABASE)
        place = server.data.parent / "apart"
        place.mkdir()
        own(place, server.user)
        self.execute(f"CREATE TABLESPACE apart LOCATION '{place}'")
        self.execute("CREATE TABLE apart TABLESPACE apart AS SELECT n FROM generate_series(1, 30000) n")
        self.execute("CREATE UNLOGGED TABLE passing AS SELECT n FROM generate_series(1, 1000) n")
        self.execute("CREATE TABLE visible AS SELECT n, 'old' AS word FROM generate_series(1, 100000) n")
        self.execute("CREATE INDEX ON visible (n)")
        self.execute("CREATE TABLE shrunk AS SELECT n, repeat('y', 400) FROM generate_series(1, 20000) n")
        self.execute("CREATE EXTENSION pg_visibility")
        run(pgbench(server, "--initialize", "--scale=2"), timeout=60, environment=_environment(server),
            user=run_as(server.user))  # fmt: skip
        self.execute("VACUUM (FREEZE) visible")

    def chain(self) -> None:
        self.points = {"full": self.take_while_writing(Kind.FULL)}
        # These pages are all-visible: clearing a bit of the map is neither in the log nor moves the map's own LSN.
        self.execute("UPDATE visible SET n = -n, word = 'new' WHERE n % 100 = 0")
        self.execute("DELETE FROM shrunk WHERE n > 10")
        self.execute("VACUUM (TRUNCATE) shrunk")
        self.points["first"] = self.take_while_writing(Kind.INCREMENTAL)
        self.execute("INSERT INTO shrunk SELECT n, repeat('z', 400) FROM generate_series(1, 9000) n")
        self.execute("UPDATE apart SET n = -n WHERE n < 100")
        self.execute("VACUUM visible")
        self.points["second"] = self.take_while_writing(Kind.INCREMENTAL)
        self.points["differential"] = self.take_while_writing(Kind.DIFFERENTIAL)
        self.hashes = hashes(self.server)

    def take_while_writing(self, kind: Kind) -> Point:
        command = pgbench(self.server, "--no-vacuum", "--client=2", "--time=60")
        process = subprocess.Popen(
            command,
            env={**os.environ, **_environment(self.server)},
            user=run_as(self.server.user),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            point = self.take(kind)
            assert process.poll() is None, "pgbench ended before the point"
            return point
        finally:
            process.terminate()
            process.wait(30)

    def scratch(self) -> Scratch:
        return _OwnScratch(self.server)


class _OwnScratch(Scratch):
    """A scratch cluster that the original's installation runs."""

    def __init__(self, original: PostgresServer) -> None:
        super().__init__()
        self._original = original

    def __enter__(self) -> Scratch:
        super().__enter__()
        rules = {"hba_file": str(self.data / "pg_hba.conf"), "ident_file": str(self.data / "pg_ident.conf")}
        isolated = {name: value for name, value in ISOLATED.items() if name != "summarize_wal"}  # 15 does not know it
        self.server = PostgresServer(
            self.data,
            port=self.server.port,
            socket_dir=self.sockets,
            user=self.user,
            overrides={**isolated, **rules},
            installation=self._original.programs,
        )
        return self


def pgbench(server: PostgresServer, *options: str) -> list[str]:
    return [str(server.programs.path("pgbench")), *options, DATABASE]


def hashes(server: PostgresServer) -> dict[str, object]:
    with server.connect(DATABASE) as connection:
        query = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} t"
        return {name: connection.execute(query.format(name)).fetchone() for name in TABLES}


def _environment(server: PostgresServer) -> dict[str, str]:
    own_place = {"PGHOST": str(server.socket_dir), "PGPORT": str(server.port), "PGUSER": server.superuser}
    return {**server.programs.environment(), **own_place}
