"""A PostgreSQL 18 with a vault beside it, and a ledger of what was written that no restore can touch."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.recovery.restore import restore_postgres
from coffer.recovery.scratch import Scratch
from coffer.recovery.table_names import table_facts
from coffer.recovery.target import RestoreTarget
from coffer.recovery.wal_server import WalServer
from coffer.sources.files import FilesSource
from coffer.sources.postgres import PostgresSource
from coffer.sources.postgres.server import PostgresServer
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.vault.capture import Kind, Source
from coffer.vault.creation import create_vault
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store, open_store
from coffer.vault.writer import VaultWriter
from tests.services.postgres import Postgres

SERVICE = "creditai"
DATABASE = "app"


@dataclass(frozen=True)
class Written:
    """One committed row: its number, and the database's time and log position right after."""

    number: int
    at: datetime
    lsn: str


class World:
    """`server`, `stores`, `identity`, `writer_file`; `write`, `take`, `restored` and `receiving` do the work."""

    def __init__(self, folder: Path, server: PostgresServer, stores: int = 1) -> None:
        self.server, self.folder = server, folder
        self.urls = [f"file://{folder / f'store-{number}'}" for number in range(stores)]
        self.stores: list[Store] = [open_store(url) for url in self.urls]
        self.identity, self.writer_file = folder / "identity", folder / "writer"
        generate_identity(self.identity)
        create_vault(self.stores, [Recipient.load(folder / "identity.pub")], self.writer_file)
        self.written: list[Written] = []
        self.uploads: Path | None = None
        self.sources: list[Source] = []
        with server.connect() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
            row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        assert row
        self.cluster = str(row[0])
        server.ensure_role("backup", "of the backup", replication=True)
        self.conninfo = server.conninfo(DATABASE, user="backup", password="of the backup")
        self.execute("CREATE TABLE ledger (number int PRIMARY KEY, filler text)")
        self.execute("CREATE TABLE heartbeat (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL)")

    def execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.server.connect(DATABASE) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def write(self, count: int = 1) -> Written:
        for _ in range(count):
            number = len(self.written) + 1
            self.execute("INSERT INTO ledger VALUES (%s, repeat('x', 500))", number)
            self.execute("INSERT INTO heartbeat (at) VALUES (clock_timestamp())")
            [(at, lsn)] = self.execute("SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text")
            self.written.append(Written(number, at, lsn))
        return self.written[-1]

    def writer(self) -> VaultWriter:
        return VaultWriter.open(self.stores, WriterCredentials.load(self.writer_file))

    def reader(self) -> VaultReader:
        return VaultReader.open(self.stores, Identity.load(self.identity))

    def take(self, kind: Kind) -> Point:
        writer, source = self.writer(), PostgresSource("postgres", self.conninfo)
        facts = table_facts([source])
        with writer.begin_point(service=SERVICE, kind=kind, started=datetime.now(UTC)) as builder:
            summary = builder.capture(source)
            source.prove_wal(writer, summary.facts)
            if self.uploads is not None:
                builder.capture(FilesSource("files", self.uploads))
            for more in self.sources:
                builder.capture(more)
            return builder.commit(facts)

    @contextmanager
    def receiving(self) -> Iterator[None]:
        stop, failed = threading.Event(), []
        receiver = WalReceiver(self.conninfo, self.writer(), slot="coffer", piece_seconds=0.2)

        def run() -> None:
            try:
                receiver.run(stop)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
            self._wait_shipped(thread)
        finally:
            stop.set()
            thread.join(30)
        assert not failed, failed

    def _wait_shipped(self, thread: threading.Thread) -> None:
        [(end,)] = self.execute("SELECT pg_current_wal_insert_lsn()::text")
        query = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= %s::pg_lsn"
        deadline = time.monotonic() + 30
        while self.execute(query, end) == [(0,)]:
            assert thread.is_alive(), "the receiver ended"
            assert time.monotonic() < deadline, "the receiver does not catch up"
            time.sleep(0.02)

    def scratch(self) -> Scratch:
        return Scratch()

    @contextmanager
    def restored(self, point: Point, target: RestoreTarget) -> Iterator[Scratch]:
        reader = self.reader()
        fetcher = WalFetcher(reader, self.cluster, system=self.cluster)
        with self.scratch() as scratch:
            with WalServer(fetcher, scratch.folder / "wal", scratch.user) as wal:
                restore_postgres(
                    reader, point, scratch.data, target, restore_command=wal.restore_command, user=scratch.user
                )
                scratch.replay(wal, timeout=60)
            yield scratch


@contextmanager
def cluster(**settings: str) -> Iterator[Postgres]:
    """Run a cluster outside pytest's folders: another pytest's start closes those for every account but its own."""
    with tempfile.TemporaryDirectory(prefix="coffer-pg-") as name:
        Path(name).chmod(0o711)
        with Postgres(Path(name), **settings) as server:
            yield server


def numbers(scratch: Scratch) -> list[int]:
    """Return the ledger's numbers as a restored cluster has them, read from the table itself."""
    with scratch.server.connect(DATABASE) as connection:
        connection.execute("SET enable_indexonlyscan = off; SET enable_indexscan = off")
        return sorted(row[0] for row in connection.execute("SELECT number FROM ledger").fetchall())
