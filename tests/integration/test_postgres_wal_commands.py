"""`coffer wal` as PostgreSQL and a supervisor run it: killed at any moment, and asked for what is not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.keys import generate_identity
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.wal import Segment, is_segment, parse_lsn
from coffer.vault.capture import Kind
from tests.integration.postgres_world import DATABASE, World, cluster, numbers

COFFER = Path(sys.executable).with_name("coffer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cluster() as server:
        world = World(tmp_path_factory.mktemp("world"), server, stores=2)
        yield world


def config(world: World, name: str, **changes: str) -> Path:
    values: dict[str, object] = {
        "stores": world.urls,
        "writer_file": str(world.writer_file),
        "identity_file": str(world.identity),
        "conninfo": world.conninfo,
        "slot": "killed",
        "cluster": world.cluster,
        "piece_seconds": 0.1,
        **changes,
    }
    path = world.folder / f"{name}.toml"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    path.chmod(0o600)
    return path


def flushed(world: World) -> int:
    """Return up to where the receiver told the server that nothing can be lost."""
    rows = world.execute(
        "SELECT flush_lsn::text FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid"
        " WHERE s.slot_name = 'killed'"
    )
    return parse_lsn(rows[0][0]) if rows and rows[0][0] else 0


def receiver(world: World) -> subprocess.Popen[bytes]:
    return subprocess.Popen([COFFER, "wal", "receive", "--config", config(world, "receive")])


def wait_flushed(world: World, process: subprocess.Popen[bytes], position: int) -> None:
    deadline = time.monotonic() + 30
    while flushed(world) < position:
        assert process.poll() is None, "the receiver ended"
        assert time.monotonic() < deadline, "the receiver does not catch up"
        time.sleep(0.02)


def test_a_receiver_killed_again_and_again_loses_nothing_committed(world: World) -> None:
    promised: list[int] = []
    process = receiver(world)
    try:
        wait_flushed(world, process, 1)
        point = world.take(Kind.FULL)
        for round_ in range(3):
            world.execute(f"CREATE TABLE bulk_{round_} AS SELECT n, md5(n::text) FROM generate_series(1, 120000) n")
            written = world.write(5)
            if round_:  # the first time in the middle of the bulk, later once the rows are promised
                wait_flushed(world, process, parse_lsn(written.lsn))
                promised.append(written.number)
            process.kill()
            process.wait()
            process = receiver(world)
        last = world.write(3)
        wait_flushed(world, process, parse_lsn(last.lsn))
    finally:
        process.kill()
        process.wait()
    with world.restored(point, RestoreTarget()) as scratch:
        assert numbers(scratch) == list(range(1, last.number + 1))
        assert scratch.count_rows(DATABASE)["bulk_2"] == 120_000
    audit = subprocess.run([COFFER, "wal", "audit", "--config", config(world, "audit")], capture_output=True)
    assert audit.returncode == 0, audit.stderr


def fetch(world: World, name: str, config_file: Path, *more: str) -> tuple[int, str]:
    place = world.folder / "RECOVERYXLOG"
    place.unlink(missing_ok=True)
    done = subprocess.run(
        [COFFER, "wal", "fetch", name, place, "--config", config_file, *more], capture_output=True, text=True
    )
    assert place.exists() == (done.returncode == 0)
    return done.returncode, done.stderr


def test_fetch_says_the_end_only_when_it_is_proven(world: World) -> None:
    names = sorted(filter(is_segment, world.reader().wal_names(world.cluster)))
    assert len(names) >= 4
    good = config(world, "fetch")
    beyond = Segment.parse(names[-1])
    for _ in range(2):
        beyond = beyond.next()
    assert fetch(world, names[1], good)[0] == 0
    assert (world.folder / "RECOVERYXLOG").stat().st_size == 16 * 1024 * 1024
    assert fetch(world, beyond.name, good)[0] == 1
    assert fetch(world, beyond.name, good, "--past-the-end", "100")[0] == 100
    assert fetch(world, "00000002.history", good)[0] == 1

    assert fetch(world, names[1], world.folder / "absent.toml")[0] == 126
    assert fetch(world, names[1], good, "--nonsense")[0] == 126
    assert fetch(world, "nonsense", good)[0] == 126
    generate_identity(world.folder / "other")
    code, said = fetch(world, names[1], config(world, "wrong", identity_file=str(world.folder / "other")))
    assert (code, "Traceback" in said) == (126, False)


def test_fetch_with_a_store_away(world: World) -> None:
    names = sorted(filter(is_segment, world.reader().wal_names(world.cluster)))
    away = world.folder / "store-1"
    away.rename(world.folder / "elsewhere")
    try:
        good = config(world, "fetch")
        assert fetch(world, names[1], good)[0] == 0, "the other store has it"
        end = Segment.parse(names[-1]).next().next().name
        assert fetch(world, end, good)[0] == 126, "a store that does not answer has not said no"
    finally:
        (world.folder / "elsewhere").rename(away)


def test_fetch_names_a_hole(world: World) -> None:
    names = sorted(filter(is_segment, world.reader().wal_names(world.cluster)))
    hidden = names[len(names) // 2]
    places = [world.folder / f"store-{number}" / "wal" / world.cluster / hidden for number in range(2)]
    for place in places:
        shutil.move(place, place.with_name("hidden"))
    try:
        code, said = fetch(world, hidden, config(world, "fetch"))
        assert code == 126
        assert hidden in said
        audit = subprocess.run(
            [COFFER, "wal", "audit", "--config", config(world, "audit")], capture_output=True, text=True
        )
        assert audit.returncode == 13
        assert hidden in audit.stderr
    finally:
        for place in places:
            shutil.move(place.with_name("hidden"), place)


def test_push_takes_the_same_bytes_again_and_no_others(world: World) -> None:
    names = sorted(filter(is_segment, world.reader().wal_names(world.cluster)))
    file = world.folder / names[0]
    file.write_bytes(world.reader().get_wal(world.cluster, names[0]))

    def push(path: Path) -> int:
        return subprocess.run([COFFER, "wal", "push", path, "--config", config(world, "push")]).returncode

    assert push(file) == 0
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    assert push(file) == 13
    file.write_bytes(content[:1000])
    assert push(file) == 13
    other = file.with_name(Segment.parse(names[0]).next().name)
    file.rename(other)
    assert push(other) == 13


def test_a_configuration_that_others_may_read_is_refused(world: World) -> None:
    path = config(world, "open")
    path.chmod(0o644)
    done = subprocess.run([COFFER, "wal", "audit", "--config", path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
