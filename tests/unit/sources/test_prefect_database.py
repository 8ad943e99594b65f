"""Prefect's SQLite database: whole while it is written, and checked."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import CofferError, IntegrityError, NotThere, UsageError
from coffer.sources.prefect_database import SqliteSource, is_sqlite, libpq, sqlite_path
from tests.unit.vault.making import World


def test_a_copy_is_consistent_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE a (n); CREATE TABLE b (n); INSERT INTO a VALUES (0);"
            "INSERT INTO b VALUES (0); CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version"
            " VALUES ('f1b2');"
        )
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=20)) as database:
            while not stop.is_set():
                with database:
                    database.execute("UPDATE a SET n = n + 1")
                    database.execute("UPDATE b SET n = n + 1")
                    database.execute("INSERT INTO b SELECT -1 FROM b LIMIT 50")

    thread = threading.Thread(target=write)
    thread.start()
    world = World(tmp_path)
    try:
        points = [world.back_up(SqliteSource("prefect", path)) for _ in range(5)]  # type: ignore[arg-type]
    finally:
        stop.set()
        thread.join()
    assert points[-1].sources[0].facts["schema_version"] == "f1b2"
    for number, point in enumerate(points):
        out = tmp_path / f"out{number}"
        world.reader().restore(point, "prefect", out)
        with closing(sqlite3.connect(out / "prefect.db")) as restored:
            assert restored.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert (
                restored.execute("SELECT max(n) FROM a").fetchone()
                == restored.execute("SELECT max(n) FROM b").fetchone()
            )


def test_damage_and_absence_are_told_apart(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(NotThere):
        world.back_up(SqliteSource("prefect", tmp_path / "absent"))  # type: ignore[arg-type]
    path = tmp_path / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE a (n); CREATE INDEX i ON a (n);")
        database.executemany("INSERT INTO a VALUES (?)", [(number,) for number in range(20_000)])
        database.commit()
    broken = bytearray(path.read_bytes())
    broken[8192:12288] = bytes(4096)
    path.write_bytes(broken)
    with pytest.raises(IntegrityError):
        world.back_up(SqliteSource("prefect", path))  # type: ignore[arg-type]
    assert not world.reader().points()


def test_addresses() -> None:
    assert sqlite_path("sqlite+aiosqlite:////var/prefect%20x.db") == Path("/var/prefect x.db")
    assert sqlite_path("/var/prefect.db") == Path("/var/prefect.db")
    assert not is_sqlite("postgresql+asyncpg://host/db")
    assert not is_sqlite("host=/run dbname=prefect")
    assert libpq("postgresql+asyncpg://host/db") == "postgresql://host/db"
    assert libpq("host=/run dbname=prefect") == "host=/run dbname=prefect"
    with pytest.raises(UsageError):
        sqlite_path("sqlite+aiosqlite:///:memory:")


@given(url=st.text(max_size=60))
def test_no_address_does_more_than_name_a_file_or_be_refused(url: str) -> None:
    try:
        if is_sqlite(url):
            sqlite_path(url)
    except (CofferError, ValueError, RuntimeError):
        pass
