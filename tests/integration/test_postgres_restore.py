"""What a restore may be written over, what it refuses, one table of it, and a host that has nothing but the keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotThere, UnsafeTarget
from coffer.keys import Identity
from coffer.recovery import restore as restoring
from coffer.recovery.restore import restore_postgres
from coffer.recovery.scratch import Scratch
from coffer.recovery.table_restore import restore_table
from coffer.recovery.target import RestoreTarget, TargetKind
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.programs import own
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store
from tests.integration.postgres_world import DATABASE, World, cluster, numbers


class History(World):
    point: Point


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Ten rows, a point, ten rows; a table with a foreign key and one that counts by another's sequence."""
    with cluster() as server:
        world = History(tmp_path_factory.mktemp("world"), server)
        side = server.data.parent / "side"
        side.mkdir(mode=0o700)
        own(side, server.user)
        with world.receiving():
            world.execute(f"CREATE TABLESPACE side LOCATION '{side}'")
            world.execute(
                "CREATE TABLE aside TABLESPACE side AS SELECT n, repeat('z', 300) FROM generate_series(1, 3000) n"
            )
            world.execute("CREATE TABLE notes (ledger int REFERENCES ledger, word text)")
            world.execute("CREATE SEQUENCE shared")
            world.execute("CREATE TABLE counted (n bigint DEFAULT nextval('shared'))")
            world.execute('CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."Name" AS SELECT 7 AS n')
            world.write(10)
            world.point = world.take(Kind.FULL)
            world.write(10)
            world.execute("INSERT INTO notes SELECT number, 'note' FROM ledger")
            world.execute("INSERT INTO counted DEFAULT VALUES")
        yield world


def bring(world: World, scratch: Scratch, point: Point, target: RestoreTarget, *, delta: bool = False) -> int:
    """Restore into a scratch folder, replay; return how much stood there already."""
    reader, place = world.reader(), scratch.folder / f"wal-{len(list(scratch.folder.iterdir()))}"
    with WalServer(WalFetcher(reader, world.cluster, system=world.cluster), place, scratch.user) as wal:
        restored = restore_postgres(
            reader, point, scratch.data, target, restore_command=wal.restore_command, user=scratch.user, delta=delta,
            tablespaces=scratch.folder / "tablespaces",
        )  # fmt: skip
        scratch.replay(wal, timeout=60)
    return restored.summary.reused


def test_a_cluster_that_went_on_is_brought_back_over_itself(history: History) -> None:
    with Scratch() as scratch:
        bring(history, scratch, history.point, RestoreTarget())
        with scratch.server.connect(DATABASE) as connection:
            connection.execute("DELETE FROM notes; DELETE FROM ledger WHERE number < 5")
            connection.execute("CREATE TABLE later AS SELECT generate_series(1, 5000)")
            connection.execute("DELETE FROM aside WHERE n % 2 = 0; CREATE TABLE more TABLESPACE side AS SELECT 1")
        with pytest.raises(UnsafeTarget, match="runs on that folder"):
            bring(history, scratch, history.point, RestoreTarget(), delta=True)
        assert len(numbers(scratch)) == 16  # refused: nothing was touched
        scratch.server.stop()
        target = RestoreTarget.at_lsn(history.written[13].lsn)
        reused = bring(history, scratch, history.point, target, delta=True)
        assert reused > history.point.size * 0.8
        assert numbers(scratch) == list(range(1, 15))
        assert scratch.amcheck(timeout=120)
        with scratch.server.connect(DATABASE) as connection:
            assert connection.execute("SELECT to_regclass('later'), to_regclass('more')").fetchone() == (None, None)
            assert connection.execute("SELECT count(*), sum(n) FROM aside").fetchone() == (3000, 3000 * 3001 / 2)
        assert not list(scratch.data.glob(".coffer-*"))


def test_an_interrupted_delta_does_not_start_and_is_run_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with Scratch() as scratch:
        bring(history, scratch, history.point, RestoreTarget())
        scratch.server.stop()
        with monkeypatch.context() as patched:
            patched.setattr(restoring, "configure_recovery", interrupted)
            with pytest.raises(KeyboardInterrupt):
                bring(history, scratch, history.point, RestoreTarget(), delta=True)
        assert not (scratch.data / "global/pg_control").exists()
        bring(history, scratch, history.point, RestoreTarget(TargetKind.POINT), delta=True)
        assert numbers(scratch) == list(range(1, 11))


def test_another_cluster_and_a_folder_that_is_none_are_left_alone(history: History, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "global").mkdir(parents=True)
    (other / "global/pg_control").write_bytes((12345).to_bytes(8, "little") + bytes(8184))
    with pytest.raises(UnsafeTarget, match="system identifier 12345"):
        restore_postgres(history.reader(), history.point, other, RestoreTarget(), restore_command="false", delta=True)
    assert [path.name for path in other.rglob("*")] == ["global", "pg_control"]
    (other / "global/pg_control").rename(other / "mine")
    with pytest.raises(UnsafeTarget, match="no cluster"):
        restore_postgres(history.reader(), history.point, other, RestoreTarget(), restore_command="false", delta=True)
    assert UnsafeTarget.exit_code == 15


def test_a_lost_backup_label_never_gets_a_control_file(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = VaultReader.restore

    def without_label(self: VaultReader, *args: object, include: Callable[[bytes], bool], **options: object) -> object:
        chosen = lambda path: path != b"backup_label" and include(path)  # noqa: E731 - shorter than a function
        return whole(self, *args, include=chosen, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(VaultReader, "restore", without_label)
    with pytest.raises(IntegrityError, match="no backup_label"):
        restore_postgres(history.reader(), history.point, tmp_path / "data", RestoreTarget(), restore_command="false")
    assert not (tmp_path / "data/global/pg_control").exists()


@pytest.mark.parametrize("timeline", ["current", "1"])
def test_a_timeline_by_name_or_number(history: History, timeline: str) -> None:
    with Scratch() as scratch:
        bring(history, scratch, history.point, RestoreTarget(timeline=timeline))
        assert numbers(scratch) == list(range(1, 21))


def test_one_table_at_a_moment(history: History, tmp_path: Path) -> None:
    found = restore_table(history.reader(), history.point, RestoreTarget(), "public.notes", tmp_path / "out")
    assert (found.rows, found.database) == (20, DATABASE)
    assert found.beside == ("table ledger, which its foreign key notes_ledger_fkey refers to",)
    listed = subprocess.run(
        [history.server.programs.path("pg_restore"), "--list", found.dump], env=history.server.environment(),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "TABLE DATA public notes" in listed
    assert "TABLE DATA public ledger" not in listed
    assert found.dump.stat().st_mode & 0o077 == 0
    with pytest.raises(UnsafeTarget):
        restore_table(history.reader(), history.point, RestoreTarget(), "public.notes", tmp_path / "out")


def test_a_table_that_counts_by_anothers_sequence_and_one_with_an_odd_name(history: History, tmp_path: Path) -> None:
    at_point = RestoreTarget(TargetKind.POINT)
    counted = restore_table(history.reader(), history.point, at_point, "public.counted", tmp_path)
    assert (counted.rows, counted.beside) == (0, ("sequence shared",))
    assert restore_table(history.reader(), history.point, at_point, "Odd.Name", tmp_path).rows == 1
    with pytest.raises(NotThere, match="no such table at that moment"):
        restore_table(history.reader(), history.point, at_point, "public.nowhere", tmp_path)


def test_a_host_that_has_nothing_but_the_escrowed_key(history: History, tmp_path: Path) -> None:
    """Only the identity's file, the store and the root's fingerprint: no pins, no writer, no cache."""
    bare = tmp_path / "host"
    bare.mkdir()
    shutil.copy(history.identity, bare / "identity")
    (bare / "identity").chmod(0o600)
    root = history.reader().root
    with pytest.raises(IntegrityError):
        VaultReader.open([open_store(history.urls[0])], Identity.load(bare / "identity"), root="0" * len(root))
    coffer = Path(sys.executable).with_name("coffer")
    done = subprocess.run(
        [coffer, "restore", "latest", "--store", history.urls[0], "--identity", bare / "identity", "--root", root,
         "--lsn", history.written[14].lsn, "--to", bare / "data", "--low-priority", "--jobs", "2"],
        env={"PATH": os.environ["PATH"], "HOME": str(bare)}, cwd=bare, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (bare / "data/recovery.signal").exists()
    assert f"recovery_target_lsn = '{history.written[14].lsn}'" in (bare / "data/postgresql.auto.conf").read_text()
    assert root in (bare / "data.wal.toml").read_text()
