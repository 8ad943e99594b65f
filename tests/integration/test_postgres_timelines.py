"""After a promotion the log goes on, on another timeline, in the same archive."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from coffer.recovery.target import RestoreTarget, TargetKind
from coffer.sources.postgres import PostgresSource
from coffer.sources.postgres.wal import parse_lsn
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.vault.capture import Kind
from tests.integration.postgres_world import DATABASE, World, cluster, numbers


def test_a_restore_follows_the_log_onto_the_next_timeline(tmp_path: Path) -> None:
    with cluster() as server:
        world = World(tmp_path, server)
        with world.receiving():
            world.write(5)
            point = world.take(Kind.FULL)
            world.write(5)
            left = world.write(1)
            world.write(3)  # after the moment, so of no account on the next timeline
        with world.restored(point, RestoreTarget.at_lsn(left.lsn)) as promoted:
            assert numbers(promoted) == list(range(1, 12))
            later = promoted.server
            with later.connect(DATABASE) as connection:
                _receive_some(world, promoted.server.conninfo(DATABASE), connection)
            with world.restored(point, RestoreTarget()) as again:
                assert numbers(again) == [*range(1, 12), 100, 101, 102]
            source = PostgresSource("postgres", later.conninfo(DATABASE))
            writer = world.writer()
            with writer.begin_point(service="creditai", kind=Kind.INCREMENTAL, started=point.started) as builder:
                summary = builder.capture(source)
                source.prove_wal(writer, summary.facts)
                second = builder.commit({})
            assert summary.done is Kind.FULL
            assert str(summary.facts["kind_reason"]).startswith("WAL summaries do not reach back to it")
            assert summary.facts["timeline"] == 2
        with world.restored(second, RestoreTarget()) as restored:
            assert numbers(restored) == [*range(1, 12), 100, 101, 102]
        assert "00000002.history" in world.reader().wal_names(world.cluster)


def test_what_a_new_timeline_wrote_before_its_receiver_came_is_in_the_archive(tmp_path: Path) -> None:
    with cluster() as server:
        world = World(tmp_path, server)
        with world.receiving():
            point = world.take(Kind.FULL)
            world.write(3)
        with world.restored(point, RestoreTarget()) as promoted:
            later = promoted.server
            with later.connect(DATABASE) as connection:
                for number in (50, 51):  # the slot, made afterwards, begins segments beyond the fork
                    connection.execute("INSERT INTO ledger VALUES (%s, '')", [number])
                    connection.execute("SELECT pg_switch_wal()")
                connection.execute("CHECKPOINT")
                for old in (later.data / "pg_wal").glob("00000001*"):  # as PostgreSQL does where archive_mode is on
                    old.rename(old.with_name(f"{old.name}.partial"))
                _receive_some(world, later.conninfo(DATABASE), connection)
            written = [*numbers(promoted)]
        with world.restored(point, RestoreTarget()) as again:
            assert numbers(again) == written
        assert {50, 51, 102} <= set(written)


def _receive_some(world: World, conninfo: str, connection: object) -> None:
    stop = threading.Event()
    receiver = WalReceiver(conninfo, world.writer(), slot="coffer", piece_seconds=0.1)
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    try:
        for number in (100, 101, 102):
            connection.execute("INSERT INTO ledger VALUES (%s, '')", [number])  # type: ignore[attr-defined]
        [lsn] = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 20
        query = "SELECT coalesce(max(flush_lsn)::text, '0/0') FROM pg_stat_replication"
        while parse_lsn(connection.execute(query).fetchone()[0]) < parse_lsn(lsn):  # type: ignore[attr-defined]
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(20)


def test_a_point_on_a_server_without_a_receiver_brings_its_own_log(tmp_path: Path) -> None:
    with cluster() as server:
        world = World(tmp_path, server, stores=2)
        world.write(3)
        point = world.take(Kind.FULL)
        with world.restored(point, RestoreTarget()) as scratch:
            assert numbers(scratch) == [1, 2, 3]
        assert all(world.writer().has_wal(world.cluster, world.reader().wal_names(world.cluster)[-1]).values())


def test_tablespaces_come_back_beside_the_cluster(tmp_path: Path) -> None:
    with cluster() as server:
        world = World(tmp_path, server)
        place = server.data.parent / "elsewhere"
        place.mkdir()
        shutil.chown(place, server.user)
        with server.connect() as connection:
            connection.execute(f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
        world.execute(
            "CREATE TABLE far TABLESPACE elsewhere AS SELECT n, repeat('z', 300) FROM generate_series(1, 5000) n"
        )
        full = world.take(Kind.FULL)
        world.execute("DELETE FROM far WHERE n = 1")
        incremental = world.take(Kind.INCREMENTAL)
        for point, rows in ((full, 5000), (incremental, 4999)):
            with world.restored(point, RestoreTarget(TargetKind.POINT)) as scratch:
                assert scratch.count_rows(DATABASE)["far"] == rows
                [link] = (scratch.data / "pg_tblspc").iterdir()
                assert link.resolve().is_relative_to(scratch.folder)
