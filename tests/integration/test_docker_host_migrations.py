"""Expanding migrations on a real PostgreSQL: once, in order, whole or not at all, and never waiting long for a lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from coffer.errors import IntegrityError, StepFailed
from coffer.targets.docker_host import migrations
from tests.services.postgres import Postgres

pytestmark = pytest.mark.alone

FILES = {
    "001_first.sql": "-- migrate:up\nCREATE TABLE dispute (id int);\n\n-- migrate:down\nDROP TABLE dispute;\n",
    "002_index.sql": (
        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY dispute_id ON dispute (id);\n"
        "-- migrate:down\nDROP INDEX dispute_id;\n"
    ),
    "003_broken.sql": "-- migrate:up\nALTER TABLE dispute ADD a int;\nSELECT nothing_of_that_name;\n",
}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    postgres.ensure_role("creditai", "secret")
    postgres.ensure_database("expanded", "creditai")
    yield postgres.conninfo("expanded")
    with postgres.connect() as connection:
        connection.execute("DROP DATABASE expanded WITH (FORCE)")


def _wanted(*names: str) -> tuple[dict[str, str], tuple[migrations.Migration, ...]]:
    files = {name: FILES[name] for name in names}
    return files, migrations.describe(files)


def test_they_are_applied_once_and_belong_to_the_databases_owner(postgres: Postgres, database: str) -> None:
    assert migrations.applied(database) == ()
    files, wanted = _wanted("001_first.sql", "002_index.sql")
    assert migrations.apply(database, files, wanted) == ("001_first.sql", "002_index.sql")
    assert migrations.apply(database, files, wanted) == ()
    assert migrations.applied(database) == ("001", "002")
    with postgres.connect("expanded") as connection:
        owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'dispute'").fetchone()
        valid = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'dispute_id'::regclass"
        ).fetchone()
    assert owner == ("creditai",)
    assert valid == (True,)


def test_one_that_fails_leaves_nothing_and_those_before_it_stay(postgres: Postgres, database: str) -> None:
    files, wanted = _wanted("001_first.sql", "003_broken.sql")
    with pytest.raises(StepFailed, match="refuses 003_broken"):
        migrations.apply(database, files, wanted)
    assert migrations.applied(database) == ("001",)
    with postgres.connect("expanded") as connection:
        columns = connection.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'dispute'"
        ).fetchone()
    assert columns == (1,)


def test_a_file_that_is_not_the_approved_one_is_refused(database: str) -> None:
    files, wanted = _wanted("001_first.sql")
    with pytest.raises(IntegrityError, match="not the file that was approved"):
        migrations.apply(database, {"001_first.sql": files["001_first.sql"] + " "}, wanted)
    assert migrations.applied(database) == ()


def test_a_lock_is_let_go_and_tried_again(postgres: Postgres, database: str) -> None:
    migrations.apply(database, *_wanted("001_first.sql"))
    text = "-- migrate:up\nSET LOCAL lock_timeout = '200ms';\nALTER TABLE dispute ADD note text;\n-- migrate:down\n"
    files = {"004_note.sql": text}
    with postgres.connect("expanded") as other:
        other.execute("BEGIN; LOCK TABLE dispute")
        threading.Timer(0.8, other.execute, ["COMMIT"]).start()
        assert migrations.apply(database, files, migrations.describe(files)) == ("004_note.sql",)
