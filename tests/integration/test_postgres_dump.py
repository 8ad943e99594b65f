"""Where only SQL is allowed: a dump in the vault, and out of it a folder that pg_restore takes in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from coffer.errors import NotAllowed, OutsideSystemError, Unreachable
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.processes import run
from coffer.recovery.source_table import parse_source
from coffer.sources.postgres.programs import Programs, own, run_as
from coffer.sources.postgres.server import PostgresServer
from coffer.sources.postgres_dump import PostgresDumpSource
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store
from coffer.vault.writer import VaultWriter
from tests.integration.postgres_world import cluster
from tests.services.throwaway import free_ports

pytestmark = pytest.mark.integration
_OLD = Path("/usr/lib/postgresql/15")


class _Old(PostgresServer):
    """PostgreSQL 15, which has neither WAL summaries nor a built-in locale provider."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "data",
            port=free_ports(1)[0],
            socket_dir=folder / "s",
            settings={"fsync": "off"},
            installation=Programs(_OLD),
        )
        self._settings.pop("summarize_wal", None)

    def _initdb(self, data: Path) -> None:
        own(data, self.user)
        run(
            [self.programs.path("initdb"), "-N", "-D", data, "-U", self.superuser, "-E", "UTF8", "--locale=C.UTF-8"],
            timeout=120,
            environment=self.programs.environment(),
            user=run_as(self.user),
            directory=data,
        )


@pytest.fixture(params=[18, 15], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with cluster() as new:
        if request.param == 18:
            yield new
            return
        folder = new.data.parent / "old"
        folder.mkdir(mode=0o711)
        with _Old(folder) as old:
            yield old


class _Vault:
    def __init__(self, folder: Path) -> None:
        self.stores = [open_store(f"file://{folder / 'store'}")]
        generate_identity(folder / "identity")
        self.identity = folder / "identity"
        create_vault(self.stores, [Recipient.load(folder / "identity.pub")], folder / "writer")
        self.writer_file = folder / "writer"

    def take(self, source: PostgresDumpSource, kind: Kind = Kind.FULL) -> Point:
        writer = VaultWriter.open(self.stores, WriterCredentials.load(self.writer_file))
        with writer.begin_point(service="creditai", kind=kind, started=datetime.now(UTC)) as builder:
            builder.capture(source)
            return builder.commit({})

    def restore(self, point: Point, target: Path) -> dict[str, object]:
        reader = VaultReader.open(self.stores, Identity.load(self.identity))
        reader.restore(point, "postgres-dump", target)
        return dict(reader.facts(point, "postgres-dump"))


@pytest.fixture
def vault(tmp_path: Path) -> _Vault:
    return _Vault(tmp_path)


def _filled(server: PostgresServer, name: str, rows: int = 20_000) -> str:
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    with server.connect(name) as connection:
        connection.execute("CREATE TABLE money (id int PRIMARY KEY, said text NOT NULL)")
        connection.execute("INSERT INTO money SELECT g, md5(g::text) FROM generate_series(1, %s) g", [rows])
        connection.execute("SELECT lo_from_bytea(4711, 'a large object')")
    server.ensure_role("reader", "never on a command line")
    with server.connect(name) as connection:
        connection.execute("GRANT pg_read_all_data TO reader")
        connection.execute("GRANT SELECT ON LARGE OBJECT 4711 TO reader")
    return name


def _rows(server: PostgresServer, database: str) -> tuple[object, ...]:
    with server.connect(database) as connection:
        connection.execute("SET enable_indexonlyscan = off; SET enable_indexscan = off")
        row = connection.execute(
            "SELECT count(*), sum(hashtext(m::text)), (SELECT convert_from(lo_get(4711), 'UTF8')) FROM money m"
        ).fetchone()
    assert row
    return row


def test_a_dump_comes_back_by_pg_restore_in_parallel(server: PostgresServer, vault: _Vault, tmp_path: Path) -> None:
    _filled(server, "app")
    before = _rows(server, "app")
    source = parse_source(f"postgres-dump:{server.conninfo('app')} jobs=3")
    assert isinstance(source, PostgresDumpSource)
    point = vault.take(source)
    facts = vault.restore(point, tmp_path / "dump")
    assert facts["database"] == "app"
    assert facts["globals"] == "with passwords"
    assert "ROLE reader" in (tmp_path / "dump" / "globals.sql").read_text()
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS back")
        connection.execute("CREATE DATABASE back")
    run(
        [server.programs.path("pg_restore"), "--jobs=2", "--exit-on-error", f"--dbname={server.conninfo('back')}",
         tmp_path / "dump"],
        timeout=60, environment=server.programs.environment(),
    )  # fmt: skip
    assert _rows(server, "back") == before


def test_what_is_committed_during_a_dump_is_in_it_whole_or_not_at_all(
    server: PostgresServer, vault: _Vault, tmp_path: Path
) -> None:
    """Two tables that always hold the same number of rows, written while the dump waits for a lock on one of them."""
    _filled(server, "pair", 10)
    with server.connect("pair") as connection:
        connection.execute("CREATE TABLE a_first (n int); CREATE TABLE z_last (n int)")
    source = PostgresDumpSource("postgres-dump", server.conninfo("pair"), jobs=2)
    stop = threading.Event()
    wrote = threading.Event()

    def write() -> None:
        with psycopg.connect(server.conninfo("pair")) as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO a_first VALUES (1)")
                connection.execute("INSERT INTO z_last VALUES (1)")
                connection.commit()
                wrote.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert wrote.wait(10)
        point = vault.take(source)
    finally:
        stop.set()
        thread.join(10)
    vault.restore(point, tmp_path / "dump")
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS pair_back")
        connection.execute("CREATE DATABASE pair_back")
    run(
        [server.programs.path("pg_restore"), "-j2", f"--dbname={server.conninfo('pair_back')}", tmp_path / "dump"],
        timeout=60,
        environment=server.programs.environment(),
    )
    with server.connect("pair_back") as connection:
        row = connection.execute("SELECT (SELECT count(*) FROM a_first), (SELECT count(*) FROM z_last)").fetchone()
    assert row
    assert row[0] == row[1] > 0


def test_a_second_dump_stores_only_what_changed(server: PostgresServer, vault: _Vault) -> None:
    _filled(server, "grown", 500_000)
    source = PostgresDumpSource("postgres-dump", server.conninfo("grown"))
    first = vault.take(source)
    with server.connect("grown") as connection:
        connection.execute("UPDATE money SET said = 'changed' WHERE id = 1000")
    second = vault.take(source, Kind.INCREMENTAL)
    assert second.stored < first.stored / 4


def test_a_role_that_may_not_read_passwords_dumps_without_them(
    server: PostgresServer, vault: _Vault, tmp_path: Path
) -> None:
    _filled(server, "limited", 100)
    server.ensure_role("plain", "never on a command line")
    with server.connect("limited") as connection:
        connection.execute("GRANT SELECT ON money TO plain; GRANT SELECT ON LARGE OBJECT 4711 TO plain")
    conninfo = server.conninfo("limited", user="plain", password="never on a command line")
    facts = vault.restore(vault.take(PostgresDumpSource("postgres-dump", conninfo)), tmp_path / "dump")
    assert facts["globals"] == "without passwords"
    assert "SCRAM" not in (tmp_path / "dump" / "globals.sql").read_text()


def test_a_table_that_may_not_be_read_stops_the_dump_and_leaves_nothing(
    server: PostgresServer, vault: _Vault, tmp_path: Path
) -> None:
    _filled(server, "closed", 10)
    server.ensure_role("stranger", "pass of a stranger")
    conninfo = server.conninfo("closed", user="stranger", password="pass of a stranger")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(NotAllowed, match="may not read") as caught:
        vault.take(PostgresDumpSource("postgres-dump", conninfo, folder=scratch))
    assert "pass of a stranger" not in str(caught.value)
    assert list(scratch.iterdir()) == []
    reader = VaultReader.open(vault.stores, Identity.load(vault.identity))
    assert list(reader.points("creditai")) == []


def test_a_wrong_password_and_an_absent_server_are_told_apart(server: PostgresServer, vault: _Vault) -> None:
    with pytest.raises(NotAllowed, match="refuses this role") as caught:
        vault.take(PostgresDumpSource("postgres-dump", server.conninfo("postgres", user="reader", password="no such")))
    assert "no such" not in str(caught.value)
    with pytest.raises(Unreachable):
        vault.take(PostgresDumpSource("postgres-dump", f"host=127.0.0.1 port={free_ports(1)[0]} dbname=x"))


def test_a_server_that_dies_in_the_middle_leaves_no_point(vault: _Vault) -> None:
    with cluster() as own_server:
        _filled(own_server, "dying", 10)
        with own_server.connect("dying") as blocker, closing(blocker):
            blocker.execute("BEGIN; LOCK TABLE money IN ACCESS EXCLUSIVE MODE")

            def kill_when_dumping() -> None:
                deadline = time.monotonic() + 20
                query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
                while time.monotonic() < deadline:
                    with own_server.connect() as connection:
                        row = connection.execute(query).fetchone()
                    if row and row[0]:
                        break
                    time.sleep(0.02)
                own_server.stop(immediate=True)

            thread = threading.Thread(target=kill_when_dumping)
            thread.start()
            with pytest.raises(OutsideSystemError):
                vault.take(PostgresDumpSource("postgres-dump", own_server.conninfo("dying")))
            thread.join()
    reader = VaultReader.open(vault.stores, Identity.load(vault.identity))
    assert list(reader.points("creditai")) == []
