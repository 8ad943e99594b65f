"""A small cluster whose every segment holds committed rows, and what a recovery of it ends in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.fail_stop.cases import Outcome
from bench.postgres.installing import installation
from coffer.errors import StepFailed
from coffer.processes import run
from coffer.sources.postgres.programs import own, run_as
from coffer.sources.postgres.server import PostgresServer
from tests.services.throwaway import free_ports

SEGMENTS = 6
ROWS = 100
DATABASE = "postgres"
_COPY = 'cp "%p" "{folder}/.%f" && mv "{folder}/.%f" "{folder}/%f"'


class SmallServer(PostgresServer):
    """A cluster of PostgreSQL 15 or 18."""

    def __init__(self, data: Path, major: int, overrides: Mapping[str, str]) -> None:
        super().__init__(
            data,
            port=free_ports(1)[0],
            socket_dir=data.parent / "s",
            installation=installation(major),
            settings={"fsync": "off"},
            overrides=overrides,
        )
        self.major = major
        if major < 17:
            self._settings.pop("summarize_wal")

    def _initdb(self, data: Path) -> None:
        if self.major >= 17:
            return super()._initdb(data)
        own(data, self.user)
        run(
            [self.programs.path("initdb"), "--pgdata", data, "--username", self.superuser, "--data-checksums",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            timeout=300, environment=self.programs.environment(), user=run_as(self.user), directory=data,
        )  # fmt: skip
        return None


@contextmanager
def running(folder: Path, major: int) -> Iterator[tuple[SmallServer, Path]]:
    """Run a source and yield it with the folder that gets its segments."""
    collected = folder / "collected"
    collected.mkdir()
    own(collected, (server := _source(folder, major, collected)).user)
    with server:
        with server.connect() as connection:
            connection.execute("CREATE TABLE ledger (number int PRIMARY KEY, filler text)")
        yield server, collected


def _source(folder: Path, major: int, collected: Path) -> SmallServer:
    return SmallServer(
        folder / "data", major, {"archive_mode": "on", "archive_command": _COPY.format(folder=collected)}
    )  # fmt: skip


def fill(server: SmallServer, collected: Path) -> list[str]:
    """Commit rows into each of some segments and return the names of those, all archived."""
    names = []
    with server.connect() as connection:
        for number in range(SEGMENTS):
            for row in range(ROWS):
                connection.execute("INSERT INTO ledger VALUES (%s, repeat('x', 200))", [number * ROWS + row])
            row_ = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            names.append(str(row_[0]) if row_ else "")
    _wait(lambda: all((collected / name).exists() for name in names), "the segments were not archived")
    return names


def recover(data: Path, major: int, overrides: Mapping[str, str], *, timeout: float = 90) -> tuple[bool, int]:
    """Start a restored cluster; return whether it opened for business, and how many rows it lacks then.

    Raises:
        StepFailed: It does neither within the time.
    """
    isolated = {"archive_mode": "off", "listen_addresses": "", "hot_standby": "off", **overrides}
    server = SmallServer(data, major, isolated)
    server.configure_access()
    own(data, server.user)
    server.launch()
    try:
        _wait(lambda: not server.running() or server.ready(), "neither opened nor stopped", timeout)
        if not server.running():
            return False, 0
        with server.connect() as connection:
            row = connection.execute("SELECT count(*) FROM ledger").fetchone()
        return True, SEGMENTS * ROWS - (int(row[0]) if row else 0)
    finally:
        server.stop(immediate=True)


def outcome(promoted: bool, missing: int, calls: list[tuple[str, int, str]], segments: list[str]) -> Outcome:
    """Put together what happened; `calls` is what each call of the restore_command did."""
    failed = [(name, code, text) for name, code, text in calls if code and name in segments]
    said = " ".join(failed[0][2].split()) if failed else ""
    return Outcome(promoted, missing, said, failed[0][1] if failed else None)


def _wait(condition: object, problem: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise StepFailed(problem)
        time.sleep(0.05)
