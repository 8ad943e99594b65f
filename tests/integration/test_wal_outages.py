"""Stores away, a cut network, a full store: nothing committed is lost, and the slot's growth is said in time."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from coffer.errors import CofferError
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.wal import is_segment, parse_lsn
from coffer.sources.postgres.wal_audit import audit_wal
from coffer.sources.postgres.wal_keeping import keep_receiving
from coffer.sources.postgres.wal_push import WalPusher
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.sources.postgres.wal_slot import SlotState, slot_health
from coffer.vault.capture import Kind
from tests.integration.postgres_world import World, cluster, numbers
from tests.services.postgres_proxy import PostgresProxy

SLOT = "kept"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    # 64 MB may be kept for a slot, and the server gives a silent receiver up after two seconds.
    with cluster(max_slot_wal_keep_size="64MB", wal_keep_size="0", wal_sender_timeout="2s") as server:
        yield World(tmp_path, server)


class Receiving:
    """A receiver that is kept going, and what it said."""

    def __init__(self, world: World, conninfo: str, slot: str = SLOT) -> None:
        self.world, self.lines, self._stop = world, [], threading.Event()
        self._failed: list[BaseException] = []
        self._conninfo, self._slot = conninfo, slot
        self.thread = threading.Thread(target=self._run)
        self.lines: list[str]

    def _run(self) -> None:
        try:
            keep_receiving(
                lambda: WalReceiver(
                    self._conninfo, self.world.writer(), slot=self._slot, piece_seconds=0.1, silence_seconds=1.5
                ),
                self._stop,
                look=lambda: slot_health(self.world.conninfo, self._slot),
                log=self.lines.append,
                longest_pause=1.0,
            )
        except CofferError as error:
            self._failed.append(error)

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def stop(self) -> None:
        self._stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        assert not self._failed, self._failed


@contextmanager
def receiving(world: World, conninfo: str = "", slot: str = SLOT) -> Iterator[Receiving]:
    running = Receiving(world, conninfo or world.conninfo, slot)
    running.thread.start()
    try:
        wait(lambda: slot_health(world.conninfo, slot).active, "the receiver did not start")
        yield running
    finally:
        running.stop()


def wait(condition: Callable[[], bool], problem: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.05)


def caught_up(world: World, lsn: str, slot: str = SLOT) -> bool:
    query = (
        "SELECT max(flush_lsn)::text FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid"
        " WHERE s.slot_name = %s"
    )
    [(flushed,)] = world.execute(query, slot)
    return flushed is not None and parse_lsn(flushed) >= parse_lsn(lsn)


def switch(world: World, times: int) -> None:
    for _ in range(times):
        world.write(1)
        world.execute("SELECT pg_switch_wal()")


def test_stores_away_lose_nothing_and_the_slots_growth_is_said_before_it_is_lost(world: World) -> None:
    with receiving(world) as running:
        point = world.take(Kind.FULL)
        world.write(3)
        store, away = world.folder / "store-0", world.folder / "away"
        store.rename(away)
        switch(world, 3)
        wait(lambda: running.said("DANGER") and running.said("MiB of log of at most 64 MiB"), "nothing was said")
        assert slot_health(world.conninfo, SLOT).state is SlotState.IN_DANGER
        assert slot_health(world.conninfo, SLOT).wal_status != "lost"
        last = world.write(2)
        away.rename(store)
        wait(lambda: caught_up(world, last.lsn), "it did not catch up by itself")
        world.execute("CHECKPOINT")
        assert slot_health(world.conninfo, SLOT).state is SlotState.OK
    with world.restored(point, RestoreTarget()) as scratch:
        assert numbers(scratch) == list(range(1, last.number + 1))
    assert audit_wal(world.reader(), world.cluster).ok


def test_a_cut_network_is_noticed_and_what_was_committed_meanwhile_comes(world: World, tmp_path: Path) -> None:
    server = world.server
    with PostgresProxy(tmp_path / "net", server.socket_dir, server.port) as network:
        through = make_conninfo(world.conninfo, host=str(tmp_path / "net"), connect_timeout=2)
        with receiving(world, through) as running:
            point = world.take(Kind.FULL)
            first = world.write(3)
            wait(lambda: caught_up(world, first.lsn), "it did not follow")
            network.cut()
            switch(world, 1)
            wait(lambda: running.said("says nothing any more"), "the cut was not noticed")
            last = world.write(3)
            network.mend()
            wait(lambda: caught_up(world, last.lsn), "it did not catch up by itself")
    with world.restored(point, RestoreTarget()) as scratch:
        assert numbers(scratch) == list(range(1, last.number + 1))


def test_a_full_store_is_said_and_goes_on_when_there_is_room(world: World) -> None:
    assert os.geteuid() == 0, "a small file system is mounted"
    store = world.folder / "store-0"
    kept = world.folder / "kept"
    store.rename(kept)
    store.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", store], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", store], check=True)
        with receiving(world) as running:
            point = world.take(Kind.FULL)
            world.execute(
                "CREATE TABLE noise AS SELECT n, (SELECT string_agg(uuid_send(gen_random_uuid()), ''::bytea)"
                " FROM generate_series(1, 60 + n % 2)) b FROM generate_series(1, 15000) n"  # does not shrink
            )
            wait(lambda: running.said("store is full"), "nothing was said")
            last = world.write(2)
            subprocess.run(["mount", "-o", "remount,size=200m", store], check=True)
            wait(lambda: caught_up(world, last.lsn), "it did not go on by itself")
        with world.restored(point, RestoreTarget()) as scratch:
            assert numbers(scratch) == list(range(1, last.number + 1))
    finally:
        subprocess.run(["umount", store], check=True)


def test_two_receivers_and_an_archiver_of_one_cluster_do_not_conflict(world: World) -> None:
    with receiving(world, slot="one"), receiving(world, slot="two"):
        point = world.take(Kind.FULL)
        switch(world, 2)
        last = world.write(4)
        for slot in ("one", "two"):
            wait(lambda slot=slot: caught_up(world, last.lsn, slot), f"{slot} did not follow")  # type: ignore[misc]
        pusher = WalPusher(world.writer())
        [(current,)] = world.execute("SELECT pg_walfile_name(pg_current_wal_lsn())")
        pushed = [path for path in (world.server.data / "pg_wal").iterdir() if is_segment(path.name)]
        for path in sorted(path for path in pushed if path.name < current):
            pusher.push(path)
    with world.restored(point, RestoreTarget()) as scratch:
        assert numbers(scratch) == list(range(1, last.number + 1))
    assert audit_wal(world.reader(), world.cluster).ok
