"""The data folder itself is read while pgbench writes; every point of the chain comes back, on PostgreSQL 18 and 15."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget
from coffer.vault.capture import Kind
from tests.integration.direct_world import DirectWorld, hashes
from tests.integration.postgres_world import DATABASE, cluster, numbers
from tests.services.postgres15 import cluster15

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=[18, 15])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectWorld]:
    with (cluster if request.param == 18 else cluster15)() as server:
        world = DirectWorld(tmp_path_factory.mktemp("world"), server)
        with world.receiving():
            world.write(5)
            world.chain()
            world.write(5)
        yield world


@pytest.fixture(params=["first", "second", "differential"])
def scratch(request: pytest.FixtureRequest, world: DirectWorld) -> Iterator[Scratch]:
    with world.restored(world.points[request.param], RestoreTarget()) as scratch:
        yield scratch


def test_every_point_of_the_chain_comes_back_whole(world: DirectWorld, scratch: Scratch) -> None:
    assert numbers(scratch) == list(range(1, 11))
    assert hashes(scratch.server) == world.hashes
    assert scratch.amcheck(timeout=120)
    with scratch.server.connect(DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM passing").fetchone() == (0,)
        assert connection.execute("SELECT * FROM pg_check_visible('visible')").fetchall() == []
        assert connection.execute("SELECT * FROM pg_check_frozen('visible')").fetchall() == []
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plan = connection.execute("EXPLAIN SELECT count(*) FROM visible WHERE n > 0").fetchall()
        assert "Index Only Scan" in str(plan)
        by_index = connection.execute("SELECT count(*) FROM visible WHERE n > 0").fetchone()
        connection.execute("SET enable_seqscan = on; SET enable_indexscan = off; SET enable_indexonlyscan = off")
        by_table = connection.execute("SELECT count(*) FROM visible WHERE n > 0").fetchone()
        assert by_index == by_table == (99_000,)


def test_the_chain_says_how_it_was_made(world: DirectWorld) -> None:
    is_new = world.server.programs.prefix.name != "15"
    sources = {name: point.source("postgres") for name, point in world.points.items()}
    assert [source.done for source in sources.values() if source] == [
        Kind.FULL,
        Kind.INCREMENTAL,
        Kind.INCREMENTAL,
        Kind.DIFFERENTIAL,
    ]
    for name, source in sources.items():
        assert source
        assert source.facts["capture"] == "direct"
        assert source.facts["changed_by"] == (None if name == "full" else "WAL summaries" if is_new else "page LSNs")
        assert not {"bad_pages", "damage"} & source.facts.keys()
    assert world.points["differential"].parent == world.points["full"].name
    assert world.points["first"].stored < world.points["full"].stored / 2


def test_what_a_restart_throws_away_is_not_in_the_point(world: DirectWorld) -> None:
    names = {entry.path for entry in world.reader().entries(world.points["full"], "postgres")}
    assert b"global/pg_control" in names
    assert b"backup_label" in names
    assert b"tablespace_map" in names
    assert b"pg_wal/archive_status" in names
    assert not {b"postmaster.pid", b"postmaster.opts"} & names
    assert not [
        name for name in names if name.startswith((b"pg_wal/0", b"pg_replslot/")) or b"pg_internal.init" in name
    ]
    [(passing,)] = world.execute("SELECT pg_relation_filepath('passing')")
    assert passing.encode() not in names
    assert f"{passing}_init".encode() in names
