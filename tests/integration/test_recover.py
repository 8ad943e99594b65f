"""A whole disaster, small: everything deleted under load, and brought back; killed after each step and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import (
    CofferError,
    HeldByAnother,
    IntegrityError,
    NotThere,
    UnsafeTarget,
    UsageError,
    WrongKey,
)
from coffer.keys import Identity
from coffer.ledger import FolderStorage
from coffer.recovery.recover import Recovery
from coffer.recovery.recover_journal import Journal, alone
from coffer.recovery.target import RestoreTarget
from coffer.release.observed import Colour
from tests.integration.disaster_world import Disaster, disaster


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disaster]:
    with disaster(tmp_path_factory.mktemp("disaster")) as made:
        with made.receiving():
            for _ in range(20):
                made.write()
            made.take()
            for _ in range(10):
                made.write()
            made.wait_shipped()
        made.between = datetime.now(UTC)
        yield made


def comes_back(world: Disaster, struck: float) -> None:
    """Compare what is there with what the outside was told; what the vault did not get may be seconds old."""
    left, told = world.left(), world.committed
    lost = [at for number, at in told.rows.items() if number not in left.rows]
    assert not [at for at in lost if at < struck - 10]
    assert sorted(left.rows) == list(range(1, len(left.rows) + 1)), "a row is missing before one that is there"
    assert set(left.uploads) <= set(told.uploads)
    assert set(left.sessions) <= set(told.sessions)
    assert len(left.sessions) >= 20
    assert world.host.host.proxy.active() is Colour.BLUE


def test_everything_deleted_under_load_comes_back(world: Disaster) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                world.write()
            except Exception:  # the ground goes away under it, which is the point
                return

    with world.receiving():
        client = threading.Thread(target=work)
        client.start()
        time.sleep(2)
        struck = time.time()
        world.strike()
        stop.set()
        client.join(30)
    lines: list[str] = []
    report = world.recovery().run(lines.append)
    comes_back(world, struck)
    assert len(world.left().rows) >= 30, lines
    assert 0 < report.rto_seconds < 300
    assert report.rpo_seconds is not None
    assert report.rpo_seconds < 60
    assert "<svg" in report.page()
    entries = list(FolderStorage(world.place.directory.parent / "ledger").list())
    assert entries
    # The new timeline is protected again, and the settings of the recovery are gone.
    with world.connect() as connection:
        assert connection.execute("SHOW restore_command").fetchone() == ("",)
    world.number = max(world.left().rows)
    with world.receiving():
        world.write()
        world.wait_shipped()


def kill_after_each(world: Disaster) -> int:
    """Let a process carry on, kill it after each step, until one gets to the end; return how many were killed."""
    for attempt in range(60):
        child = os.fork()
        if child == 0:
            _carry_on_and_die(world)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "it failed"
            return attempt
        assert os.WTERMSIG(status) == signal.SIGKILL
    pytest.fail("it gets nowhere")


def _carry_on_and_die(world: Disaster) -> None:
    code = 70
    try:
        noting = Journal.note

        def note(journal: Journal, key: str, seconds: float, detail: str) -> None:
            # First between the act and its note; where that is found done by looking, after the note next time.
            if not journal.record.facts.get(f"killed {key}"):
                journal.record.facts[f"killed {key}"] = True
                journal.save()
                os.kill(os.getpid(), signal.SIGKILL)
            noting(journal, key, seconds, detail)
            if len(journal.record.done) % 3 == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        Journal.note = note  # type: ignore[method-assign]
        world.recovery().run(lambda line: None)
        code = 0
    except BaseException as error:
        print(error, file=sys.stderr)
    finally:
        os._exit(code)


def test_killed_after_each_step_it_goes_on(world: Disaster) -> None:
    struck = time.time()
    world.strike()
    assert kill_after_each(world) >= 12
    comes_back(world, struck)
    assert Journal.unfinished(world.place.work) is None


def test_an_earlier_moment_and_old_data_is_kept(world: Disaster) -> None:
    before = world.left()
    moment = world.between
    report = world.recovery(RestoreTarget.at_time(moment)).run(lambda line: None)
    assert sorted(world.left().rows) == list(range(1, 31))
    [aside] = [line.split(" → ")[1] for line in report.set_aside if "/postgres →" in line]
    assert (world.place.directory / aside / "PG_VERSION").exists()
    assert len(before.rows) > 30
    world.number = 30
    world.committed.rows = {number: at for number, at in world.committed.rows.items() if number <= 30}


def test_each_failure_is_one_line_and_loses_nothing(world: Disaster) -> None:
    held = world.left()

    def fails(kind: type[CofferError], said: str, **more: object) -> None:
        with pytest.raises(kind) as caught:
            world.recovery(**more).run(lambda line: None)  # type: ignore[arg-type]
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    stranger = world.folder / "stranger"
    if not stranger.exists():
        from coffer.keys import generate_identity

        generate_identity(stranger)
    with pytest.raises(WrongKey):
        Recovery(world.request().__class__(world.environment, Identity.load(stranger), "again"))
    early = RestoreTarget.parse_time("2020-01-01T00:00:00Z")
    fails(NotThere, "no point reaches back", target=early)
    with pytest.raises(UsageError, match="nobody confirmed"):
        Recovery(world.request()).run(lambda line: None)
    for url in world.urls:
        Path(url.removeprefix("file://")).rename(url.removeprefix("file://") + ".away")
    try:
        with pytest.raises(CofferError) as caught:
            Recovery(world.request())
        assert "\n" not in str(caught.value)
    finally:
        for url in world.urls:
            Path(url.removeprefix("file://") + ".away").rename(url.removeprefix("file://"))
    with alone(world.place.work):
        fails(HeldByAnother, "another recovery is at work")
    assert world.left() == held


def test_what_stops_it_is_one_line_and_the_same_line_goes_on(world: Disaster) -> None:
    struck = time.time()
    world.strike()
    lost = f"{world.host.spec.repository}@sha256:{'0' * 64}"
    recovery = world.recovery(image=lost)
    for step in recovery.steps:
        if step.key == "bring-files":
            break
        recovery.perform(step)
    world.place.uploads.mkdir()
    (world.place.uploads / "theirs").write_text("precious")
    with pytest.raises(UnsafeTarget, match="is not what was recovered"):
        recovery.run(lambda line: None)
    assert (world.place.uploads / "theirs").read_text() == "precious"
    shutil.rmtree(world.place.uploads)

    with pytest.raises(NotThere, match="neither this engine nor the registry has") as caught:
        world.recovery().run(lambda line: None)
    assert "coffer recover again" in str(caught.value)
    with pytest.raises(UsageError, match="half done"):
        world.recovery(RestoreTarget.parse_time("2020-01-01T00:00:00Z"))

    world.write_environment(settings='LIE = "yes"')
    with pytest.raises(IntegrityError, match="its data is wrong"):
        world.recovery(image=world.image).run(lambda line: None)
    assert world.host.host.proxy.active() is None, "nobody is sent to a service that says no"
    world.write_environment()
    world.recovery().run(lambda line: None)
    comes_back(world, struck)


def test_a_bare_host_with_kit_and_identity_only(world: Disaster) -> None:
    kit = world.folder / "kit.txt"
    coffer = [str(Path(sys.executable).with_name("coffer"))]
    subprocess.run([*coffer, "kit", "--environment", str(world.file), "--out", str(kit)], check=True)
    text = kit.read_text()
    assert "of-production" not in text
    assert "of-backup" not in text
    away = [world.folder / name for name in ("vault.json", "host.json", "registry.json", "url", "backup", "writer")]
    for path in away:
        path.rename(path.with_suffix(".away"))
    bare = Path("/tmp") / f"coffer-bare-{os.getpid()}"
    argv = [*coffer, "recover", "--kit", str(kit), "--identity", str(world.identity), "--directory", str(bare)]
    try:
        done = subprocess.run([*argv, "--json", "--yes"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ok"] is True
        found = subprocess.run(
            ["redis-cli", "-s", str(bare / "sockets/redis/redis.sock"), "dbsize"], capture_output=True, text=True
        )
        assert int(found.stdout) >= 20
        assert len(list((bare / "uploads").iterdir())) >= 20
        again = subprocess.run([*argv], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert "There is no terminal to confirm at" in again.stderr
    finally:
        for path in away:
            path.with_suffix(".away").rename(path)
        remove_bare(world, bare)


def remove_bare(world: Disaster, bare: Path) -> None:
    from dataclasses import replace

    from coffer.recovery.recover_keeper import OwnKeeper

    here = replace(
        world.place, directory=bare, postgres=bare / "postgres", redis=bare / "redis",
        postgres_sockets=bare / "sockets/postgres", redis_sockets=bare / "sockets/redis",
    )  # fmt: skip
    for role in ("redis", "postgres"):
        OwnKeeper(here).stop(role)
    pid = bare / "haproxy" / "haproxy.pid"
    if pid.exists():
        os.kill(int(pid.read_text().split()[0]), signal.SIGTERM)
    client, name = world.host.host.containers.client, f"coffer-{bare.name}"
    for container in client.containers.list(all=True):
        if name in container.attrs["NetworkSettings"]["Networks"]:
            container.remove(force=True)
    for network in client.networks.list(names=[name]):
        network.remove()
    shutil.rmtree(bare, ignore_errors=True)
