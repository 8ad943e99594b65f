"""One point of a whole service, and its way back to one named place: rows, files, sessions, Prefect's database."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from coffer.keys import Identity
from coffer.recovery.cut import take_cut
from coffer.recovery.restore_files import restore_files
from coffer.recovery.restore_redis import restore_redis
from coffer.recovery.source_table import parse_sources
from coffer.recovery.target import RestoreTarget, TargetKind
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store
from tests.integration.postgres_world import SERVICE, World, cluster
from tests.services.redis import Redis

pytestmark = pytest.mark.integration
COFFER = Path(sys.executable).with_name("coffer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cluster() as server:
        yield World(tmp_path_factory.mktemp("cut"), server)


def take(world: World, sources: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Point, list[str]]:
    monkeypatch.setenv("DATABASE", world.conninfo)
    lines: list[str] = []
    writer = world.writer()
    with writer.begin_point(service=SERVICE, kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        opened = parse_sources(sources, world.folder)
        facts = take_cut(writer, builder, opened, SERVICE, lambda done: lines.append(done.name), lines.append)
        return builder.commit(facts), lines


def test_a_service_comes_back_to_one_named_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for statement in (
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)",
        "INSERT INTO schema_migrations VALUES ('20260101'), ('20260202')",
        "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO backup",
        "GRANT pg_read_all_data TO backup",
    ):
        world.execute(statement)
    uploads = world.folder / "uploads"
    uploads.mkdir()
    (uploads / "a").write_bytes(b"upload")
    (world.folder / "environments").mkdir()
    (world.folder / "environments" / "production.toml").write_text("[service]")
    with closing(sqlite3.connect(world.folder / "prefect.db")) as database:
        database.executescript("CREATE TABLE run (id); INSERT INTO run VALUES (7);")
    world.write(5)
    with Redis(world.folder / "redis") as server, redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.set("session", "5")
        sources = [
            f"prefect:{world.folder / 'prefect.db'}",
            "environment:environments",
            f"redis:{server.url}",
            "files:uploads",
            "postgres:env:DATABASE",
        ]
        with world.receiving():
            point, _ = take(world, sources, monkeypatch)
            world.write(3)
    order = ["postgres", "restore_point", "files", "redis", "environment", "prefect"]
    assert point.facts["order"] == order
    assert point.facts["schema_version"] == "20260202"
    place = point.facts["restore_point"]
    assert isinstance(place, dict)
    assert "/" in str(place["lsn"])
    named = RestoreTarget(TargetKind.NAME, str(place["name"]))
    with world.restored(point, named) as scratch, scratch.server.connect("app") as connection:
        row = connection.execute("SELECT max(number) FROM ledger").fetchone()
    assert row == (5,), "what was written after the named place is not there"
    reader = world.reader()
    target = RestoreTarget(TargetKind.POINT)
    assert restore_files(reader, [point], "files", target, point, world.folder / "out-files", service=SERVICE)
    assert (world.folder / "out-files" / "a").read_bytes() == b"upload"
    assert restore_redis(reader, point, world.folder / "out-redis").facts["keys"] == {"db0": 1}


def test_a_role_that_may_make_no_restore_point_still_takes_points(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.execute("REVOKE EXECUTE ON FUNCTION pg_create_restore_point(text) FROM backup")
    point, lines = take(world, ["postgres:env:DATABASE"], monkeypatch)
    assert "restore_point" not in point.facts
    assert any("no restore point" in line for line in lines)


def test_a_watcher_that_is_killed_among_ten_thousand_files_loses_none(world: World, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    words = ["files", "watch", str(uploads), "--writer", str(world.writer_file), "--service", "many"]
    stores = [word for url in world.urls for word in ("--store", url)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([COFFER, *words, *stores], stderr=(tmp_path / "log").open("ab"))

    def reader() -> VaultReader:
        return VaultReader.open([open_store(url) for url in world.urls], Identity.load(world.identity))

    def shipped() -> int:
        return len({part.path for each in reader().shipments("many", "files") for part in each.files})

    watcher = start()
    try:
        for number in range(10_000):
            incoming = uploads / ".incoming"
            incoming.write_bytes(b"%d" % number)
            incoming.rename(uploads / f"upload-{number}")
            if number == 6000:
                _until(shipped, "some are shipped")
                watcher.send_signal(signal.SIGKILL)
                watcher.wait(10)
                watcher = start()
        _until(lambda: shipped() == 10_000, "all are shipped")
    finally:
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(20) == 0, (tmp_path / "log").read_text()
    opened = reader()
    out = tmp_path / "out"
    summary = restore_files(opened, [], "files", RestoreTarget(), None, out, service="many")  # type: ignore[arg-type]
    assert summary is not None
    assert summary.files == 10_000
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        f"upload-{number}": b"%d" % number for number in range(10_000)
    }
    assert (out / "upload-7").stat().st_mtime_ns == (uploads / "upload-7").stat().st_mtime_ns


def _until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
