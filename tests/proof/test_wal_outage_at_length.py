"""A store that is away for ten minutes under load; a receiver killed again and again: nothing committed is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.wal import parse_lsn
from coffer.sources.postgres.wal_audit import audit_wal
from coffer.sources.postgres.wal_slot import SlotState, slot_health
from coffer.vault.capture import Kind
from tests.integration.postgres_world import World, cluster, numbers

COFFER = Path(sys.executable).with_name("coffer")
AWAY_SECONDS = 600
SLOT = "long"


def receiver(world: World, log: Path) -> subprocess.Popen[bytes]:
    config = world.folder / "receive.toml"
    config.write_text(
        f'stores = {world.urls!r}\nwriter_file = \'{world.writer_file}\'\nconninfo = """{world.conninfo}"""\n'
        f"slot = '{SLOT}'\npiece_seconds = 0.5\n"
    )
    config.chmod(0o600)
    with log.open("ab") as output:
        return subprocess.Popen([COFFER, "wal", "receive", "--config", config], stdout=output, stderr=output)


def wait_flushed(world: World, lsn: str, seconds: float) -> None:
    query = (
        "SELECT max(flush_lsn)::text FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid"
        " WHERE s.slot_name = %s"
    )
    deadline = time.monotonic() + seconds
    while True:
        [(flushed,)] = world.execute(query, SLOT)
        if flushed and parse_lsn(flushed) >= parse_lsn(lsn):
            return
        assert time.monotonic() < deadline, "the receiver does not catch up"
        time.sleep(0.2)


def test_ten_minutes_without_any_store_and_kills_in_between(tmp_path: Path) -> None:
    chance, log = random.Random(5), tmp_path / "receiver.log"
    with cluster(max_slot_wal_keep_size="1GB", wal_sender_timeout="10s") as server:
        world = World(tmp_path, server)
        process = receiver(world, log)
        ended = threading.Event()

        def load() -> None:
            while not ended.is_set():
                world.write(1)
                world.execute("CREATE TABLE IF NOT EXISTS bulk (n int, t text)")
                world.execute("INSERT INTO bulk SELECT n, md5(n::text) FROM generate_series(1, 8000) n")
                ended.wait(0.5)

        writing = threading.Thread(target=load)
        try:
            deadline = time.monotonic() + 60
            while not slot_health(world.conninfo, SLOT).active:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            point = world.take(Kind.FULL)
            writing.start()
            store, away = tmp_path / "store-0", tmp_path / "away"
            store.rename(away)
            until = time.monotonic() + AWAY_SECONDS
            while time.monotonic() < until:  # a supervisor starts what was killed
                time.sleep(chance.uniform(20, 60))
                process.kill()
                process.wait()
                process = receiver(world, log)
                assert slot_health(world.conninfo, SLOT).state is not SlotState.LOST
            grown = slot_health(world.conninfo, SLOT)
            assert grown.kept > 64 << 20
            away.rename(store)
            ended.set()
            writing.join()
            # A receiver that was started without its vault ends at once: the supervisor's next start finds it.
            if process.poll() is not None:
                process = receiver(world, log)
            last = world.write(1)
            wait_flushed(world, last.lsn, 180)
            assert slot_health(world.conninfo, SLOT).kept < grown.kept
        finally:
            ended.set()
            process.kill()
            process.wait()
        with world.restored(point, RestoreTarget()) as scratch:
            assert numbers(scratch) == list(range(1, last.number + 1))
        assert audit_wal(world.reader(), world.cluster).ok
