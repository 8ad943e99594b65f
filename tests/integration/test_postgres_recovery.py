"""Full, writes, incremental, writes: then every moment comes back, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from coffer.errors import NotThere, UnsafeTarget, UsageError
from coffer.recovery.restore import restore_postgres
from coffer.recovery.target import RestoreTarget, TargetKind, choose_point
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from tests.integration.postgres_world import DATABASE, World, cluster, numbers


class History(World):
    """Ten rows, a full point, ten rows, an incremental one, ten rows; all of the log in the vault."""

    full: Point
    incremental: Point


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with cluster() as server:
        world = History(tmp_path_factory.mktemp("world"), server)
        with world.receiving():
            world.execute("CREATE TABLE visible AS SELECT n, 'old' AS word FROM generate_series(1, 20000) n")
            world.execute("CREATE INDEX ON visible (n)")
            world.execute("VACUUM (FREEZE) visible")
            world.write(10)
            world.full = world.take(Kind.FULL)
            world.write(10)
            world.execute("UPDATE visible SET n = -n, word = 'new' WHERE n % 100 = 0")
            world.execute("CREATE TABLE shrunk AS SELECT n, repeat('y', 400) FROM generate_series(1, 2000) n")
            world.execute("CREATE UNLOGGED TABLE passing AS SELECT 1")
            world.incremental = world.take(Kind.INCREMENTAL)
            world.execute("DELETE FROM shrunk WHERE n > 10")
            world.execute("VACUUM (TRUNCATE) shrunk")
            world.write(10)
        yield world


def test_an_incremental_is_one_and_stores_little(history: History) -> None:
    source = history.incremental.source("postgres")
    assert source
    assert source.done is Kind.INCREMENTAL
    assert source.facts["kind_reason"] == ""
    assert history.incremental.stored < history.full.stored / 3


@pytest.mark.parametrize("number", [11, 20, 21, 29])
def test_a_time_between_two_writes(history: History, number: int) -> None:
    before, after = history.written[number - 1], history.written[number]
    moment = before.at + (after.at - before.at) / 2
    # Halfway from the row to the next one there may be the heartbeat of the next, never its row.
    target = RestoreTarget.at_time(before.at)
    assert before.at <= moment
    point = choose_point(history.reader().points(), "postgres", target)
    assert point.name == (history.full if number <= 20 else history.incremental).name
    with history.restored(point, target) as scratch:
        assert numbers(scratch) == list(range(1, number + 1))


def test_a_position_from_the_incremental(history: History) -> None:
    target = RestoreTarget.at_lsn(history.written[24].lsn)
    with history.restored(history.incremental, target) as scratch:
        assert numbers(scratch) == list(range(1, 26))


def test_the_point_itself(history: History) -> None:
    with history.restored(history.incremental, RestoreTarget(TargetKind.POINT)) as scratch:
        assert numbers(scratch) == list(range(1, 21))


def test_the_end_of_the_log_from_either_point_is_whole_and_sound(history: History) -> None:
    for point in (history.full, history.incremental):
        with history.restored(point, RestoreTarget()) as scratch:
            assert numbers(scratch) == list(range(1, 31))
            assert scratch.amcheck(timeout=120)
            assert scratch.count_rows(DATABASE)["shrunk"] == 10


def test_the_visibility_map_is_not_believed_from_the_log(history: History) -> None:
    with (
        history.restored(history.incremental, RestoreTarget(TargetKind.POINT)) as scratch,
        scratch.server.connect(DATABASE) as connection,
    ):
        connection.execute("CREATE EXTENSION pg_visibility")
        assert connection.execute("SELECT * FROM pg_check_visible('visible')").fetchall() == []
        assert connection.execute("SELECT * FROM pg_check_frozen('visible')").fetchall() == []
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plan = connection.execute("EXPLAIN SELECT count(*) FROM visible WHERE n > 0").fetchall()
        assert "Index Only Scan" in str(plan)
        by_index = connection.execute("SELECT count(*) FROM visible WHERE n > 0").fetchone()
        connection.execute("SET enable_seqscan = on; SET enable_indexscan = off; SET enable_indexonlyscan = off")
        by_table = connection.execute("SELECT count(*) FROM visible WHERE n > 0").fetchone()
        assert by_index == by_table == (19_800,)


def test_a_moment_before_the_point_is_refused_with_the_earliest_named(history: History) -> None:
    target = RestoreTarget.at_time(history.written[3].at)
    source = history.full.source("postgres")
    assert source
    with pytest.raises(UsageError, match=str(source.facts["stopped"])[:19]):
        history.restored(history.full, target).__enter__()


def test_a_folder_with_something_in_it_is_left_alone(history: History) -> None:
    folder = history.folder / "occupied"
    folder.mkdir(exist_ok=True)
    (folder / "mine").write_text("mine")
    with pytest.raises(UnsafeTarget):
        restore_postgres(history.reader(), history.full, folder, RestoreTarget(), restore_command="false")
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_moment_after_the_end_of_the_log_does_not_open(history: History) -> None:
    target = RestoreTarget.at_time(history.written[-1].at + timedelta(days=1))
    with pytest.raises(NotThere, match=r"the log ends before .* the last transaction in it ended at 20"):
        history.restored(history.incremental, target).__enter__()
