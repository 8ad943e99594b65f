"""`archive_command` as `coffer wal setup` prints it: a resident that works ahead, is killed, ends with its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.wal import is_segment
from coffer.vault.capture import Kind
from tests.integration.postgres_world import World, cluster, numbers

COFFER = Path(sys.executable).with_name("coffer")


def archive(world: World, line: str) -> dict[str, bytes]:
    """Do as PostgreSQL's archiver does, in the data folder: ask for what is ready, in order. Return what that was."""
    status = world.server.data / "pg_wal" / "archive_status"
    done = {}
    while ready := sorted(path.stem for path in status.glob("*.ready")):
        name = ready[0]
        done[name] = (world.server.data / "pg_wal" / name).read_bytes()
        subprocess.run(["sh", "-c", line.replace("%p", f"pg_wal/{name}")], cwd=world.server.data, check=True)
        (status / f"{name}.ready").rename(status / f"{name}.done")
    return done


def residents(config: Path) -> list[int]:
    """Return the processes that stay for a configuration."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"stay" in words and os.fsencode(config) in words:
                found.append(int(folder.name))
    return found


def switch(world: World, times: int) -> None:
    for _ in range(times):
        world.write(2)
        world.execute("SELECT pg_switch_wal()")


def test_segments_are_archived_whatever_happens_to_the_resident(tmp_path: Path) -> None:
    with (
        cluster(archive_mode="on", archive_command="") as server,
        tempfile.TemporaryDirectory(prefix="coffer-spool-") as short,  # a socket's path holds 108 bytes
    ):
        world = World(tmp_path, server, stores=2)
        config, spool = tmp_path / "wal.toml", Path(short)
        config.write_text(f"stores = {world.urls!r}\nwriter_file = '{world.writer_file}'\nspool = '{spool}'\n")
        config.chmod(0o600)
        said = subprocess.run([COFFER, "wal", "setup", "--config", config], capture_output=True, text=True, check=True)
        name, _, quoted = said.stdout.strip().partition(" = ")
        line = quoted.strip("'").replace("''", "'")
        assert name == "archive_command"

        with world.receiving():  # beside it, of the same cluster: they do not conflict
            point = world.take(Kind.FULL)
            switch(world, 2)
            archived = archive(world, line)
            [resident] = residents(config)
            os.kill(resident, signal.SIGKILL)
            switch(world, 3)
            archived |= archive(world, line)
            [second] = residents(config)
            assert second != resident
        # No server: nobody will ask, and the resident ends; nothing is left but its log.
        server.stop()
        deadline = time.monotonic() + 20
        while residents(config):
            assert time.monotonic() < deadline, "the resident did not end"
            time.sleep(0.1)
        assert not [path for path in spool.rglob("*") if path.is_socket()]
        reader = world.reader()
        for name in filter(is_segment, archived):
            assert reader.get_wal(world.cluster, name) == archived[name]
        with world.restored(point, RestoreTarget()) as scratch:
            assert numbers(scratch) == list(range(1, len(world.written) + 1))
