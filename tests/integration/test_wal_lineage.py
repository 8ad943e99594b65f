"""One log, several timelines: two promotions are followed; what is another cluster's is refused and said."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, UnsafeTarget
from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.wal import is_segment, parse_lsn
from coffer.sources.postgres.wal_audit import audit_wal
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.postgres.wal_push import WalPusher
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.vault.capture import Kind
from tests.integration.postgres_world import DATABASE, World, cluster, numbers

COFFER = Path(sys.executable).with_name("coffer")


@contextmanager
def received(world: World, promoted: Scratch, *rows: int) -> Iterator[str]:
    """Commit rows on a promoted cluster and one more, ship its log, and give the position before that one."""
    stop = threading.Event()
    receiver = WalReceiver(promoted.server.conninfo(DATABASE), world.writer(), slot="coffer", piece_seconds=0.1)
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    try:
        with promoted.server.connect(DATABASE) as connection:
            for number in rows:
                connection.execute("INSERT INTO ledger VALUES (%s, '')", [number])
            left = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            connection.execute("INSERT INTO ledger VALUES (%s, '')", [rows[-1] + 50])  # after it
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            assert row
            assert left
            deadline = time.monotonic() + 30
            while True:
                flushed = connection.execute("SELECT max(flush_lsn)::text FROM pg_stat_replication").fetchone()
                if flushed and flushed[0] and parse_lsn(flushed[0]) >= parse_lsn(row[0]):
                    break
                assert thread.is_alive()
                assert time.monotonic() < deadline, "the receiver does not follow"
                time.sleep(0.05)
        yield left[0]
    finally:
        stop.set()
        thread.join(30)


def test_timelines_two_and_three_restore_and_a_hole_on_the_way_is_named(tmp_path: Path) -> None:
    with cluster() as server:
        world = World(tmp_path, server)
        with world.receiving():
            point = world.take(Kind.FULL)
            left = world.write(5)
            world.write(3)  # after the moment: of no account on the timelines that follow
        with (
            world.restored(point, RestoreTarget.at_lsn(left.lsn)) as second,
            received(world, second, 100, 101) as at,
            world.restored(point, RestoreTarget.at_lsn(at)) as third,
            received(world, third, 200),
        ):
            pass
        with world.restored(point, RestoreTarget()) as newest:
            assert numbers(newest) == [1, 2, 3, 4, 5, 100, 101, 200, 250]
        with world.restored(point, RestoreTarget.at_lsn(left.lsn)) as first:
            assert numbers(first) == [1, 2, 3, 4, 5]
        found = audit_wal(world.reader(), world.cluster, facts=[world.reader().facts(point, "postgres")])
        assert found.ok, found.lines()
        assert sorted(found.newest) == [1, 2, 3]

        history = tmp_path / "store-0" / "wal" / world.cluster / "00000003.history"
        history.rename(tmp_path / "hidden")
        assert audit_wal(world.reader(), world.cluster).without_history == (3,)
        config = tmp_path / "audit.toml"
        config.write_text(
            f"stores = {world.urls!r}\nwriter_file = '{world.writer_file}'\ncluster = '{world.cluster}'\n"
        )
        config.chmod(0o600)
        done = subprocess.run([COFFER, "wal", "audit", "--json", "--config", config], capture_output=True, text=True)
        assert (done.returncode, '"without_history": [3]' in done.stdout) == (13, True), done
        config.write_text(config.read_text().replace(world.cluster, "nobody"))
        assert subprocess.run([COFFER, "wal", "audit", "--config", config], capture_output=True).returncode == 16


def test_another_clusters_log_is_refused_on_push_receive_and_fetch(tmp_path: Path) -> None:
    with cluster() as server:
        (tmp_path / "world").mkdir()
        world = World(tmp_path / "world", server)
        pusher = WalPusher(world.writer(), cluster="main")
        world.execute("SELECT pg_switch_wal()")
        mine = min(path for path in (server.data / "pg_wal").iterdir() if is_segment(path.name))
        pusher.push(mine)
        with cluster() as upgraded:
            other = min(path for path in (upgraded.data / "pg_wal").iterdir() if is_segment(path.name))
            for each in (pusher, WalPusher(world.writer(), cluster="main")):
                with pytest.raises(UnsafeTarget, match=r"'main' is the log of system .*pg_upgrade.*full point"):
                    each.push(other)
            receiver = WalReceiver(upgraded.conninfo(), world.writer(), slot="coffer", cluster="main")
            with pytest.raises(UnsafeTarget, match="'main' is the log of system"):
                receiver.run(threading.Event())
        with pytest.raises(UnsafeTarget, match="another cluster"):
            WalFetcher(world.reader(), "main", system="7000000000000000001").read(mine.name)
        with pytest.raises(UnsafeTarget, match="of PostgreSQL 18"):
            WalFetcher(world.reader(), "main", version=15).read(mine.name)
        changed = tmp_path / mine.name
        changed.write_bytes(mine.read_bytes()[:-8192] + bytes(8191) + b"x")
        pusher.push(mine)
        with pytest.raises(IntegrityError, match="Other bytes"):
            pusher.push(changed)
