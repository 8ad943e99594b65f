"""`coffer backup` and `coffer restore` of a real PostgreSQL, as a person types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.postgres_world import World, cluster

COFFER = Path(sys.executable).with_name("coffer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cluster() as server:
        yield World(tmp_path_factory.mktemp("world"), server, stores=2)


def coffer(world: World, *words: object) -> subprocess.CompletedProcess[str]:
    passwords = world.folder / "pgpass"
    passwords.touch(0o600)
    passwords.write_text("*:*:*:backup:of the backup\n")
    environment = {**os.environ, "PGPASSFILE": str(passwords)}
    return subprocess.run(
        [COFFER, *map(str, words)], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def test_a_database_goes_in_and_comes_back_with_its_log_at_hand(world: World) -> None:
    stores = [word for url in world.urls for word in ("--store", url)]
    conninfo = re.sub(r"\s*password='[^']*'", "", world.conninfo)
    assert "password" not in conninfo
    world.write(3)
    with world.receiving():
        backup = ("backup", *stores, "--writer", world.writer_file, "--source", f"postgres:{conninfo}", "--json")
        first = coffer(world, *backup)
        assert first.returncode == 0, first.stderr
        moment = world.write(2)
        second = coffer(world, *backup)
        assert second.returncode == 0, second.stderr
    taken = [json.loads(answer.stdout) for answer in (first, second)]
    assert [point["kind"] for point in taken] == ["full", "incremental"]
    assert taken[1]["stored"] < taken[0]["stored"] / 5

    target = world.folder / "restored"
    access = (*stores, "--identity", world.identity, "--to", target)
    early = coffer(world, "restore", taken[0]["name"], *access, "--time", "2001-01-01T00:00:00Z")
    assert (early.returncode, target.exists()) == (2, False)
    restored = coffer(world, "restore", "latest", *access, "--time", moment.at.isoformat(), "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["point"] == taken[0]["name"], "the later point ends after the moment"
    assert (target / "global/pg_control").stat().st_size == 8192
    assert "recovery_target_time" in (target / "postgresql.auto.conf").read_text()
    config = world.folder / "restored.wal.toml"
    assert config.stat().st_mode & 0o077 == 0
    segment = next(name for name in world.reader().wal_names(world.cluster) if re.fullmatch("[0-9A-F]{24}", name))
    fetched = coffer(world, "wal", "fetch", segment, world.folder / "segment", "--config", config)
    assert fetched.returncode == 0, fetched.stderr
    assert (world.folder / "segment").stat().st_size == 16 << 20
