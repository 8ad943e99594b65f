"""What was last seen of a vault, in a file beside the key: lost, set back, copied, not writable, broken."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, UsageError
from coffer.keys import WriterCredentials, key_files
from coffer.vault.administration import VaultAdministration
from coffer.vault.known_heads import KnownHeads
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import Tree, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    return world


def cut_short(world: World) -> None:
    """Take the newest point away, as someone with delete rights would."""
    points = sorted(name for name in world.memory.objects if name.startswith("points/"))
    del world.memory.objects[points[-1]]


def test_a_history_that_was_cut_is_missed_by_whoever_saw_it(world: World) -> None:
    world.back_up(Tree({b"a": b"2"}))
    cut_short(world)
    with pytest.raises(IntegrityError, match="shorter"):
        world.writer().points()
    assert len(world.reader().points()) == 1  # the reader had never seen the second


def test_lost_it_begins_anew_and_the_pins_still_hold(world: World, tmp_path: Path) -> None:
    world.back_up(Tree({b"a": b"2"}))
    cut_short(world)
    (tmp_path / "writer.state").unlink()
    assert len(world.writer().points()) == 1  # that a point was cut cannot be known any more
    assert (tmp_path / "writer.state").stat().st_mode & 0o777 == 0o600
    VaultAdministration(world.stores, world.identity).add_writer("second", tmp_path / "second")
    for name in [name for name in world.memory.objects if name.startswith("config/00000002/")]:
        del world.memory.objects[name]

    with pytest.raises(IntegrityError, match="rolled back"):  # the number in the writer's own file
        VaultWriter.open(world.stores, WriterCredentials.load(tmp_path / "second"))


def test_set_back_it_takes_in_what_is_newer(world: World, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "writer.state", tmp_path / "old")
    world.back_up(Tree({b"a": b"2"}))
    shutil.copy(tmp_path / "old", tmp_path / "writer.state")
    assert len(world.writer().points()) == 2
    cut_short(world)
    with pytest.raises(IntegrityError, match="shorter"):
        world.writer().points()


def test_copied_to_another_host_it_holds_there_too(world: World, tmp_path: Path) -> None:
    world.back_up(Tree({b"a": b"2"}))
    (tmp_path / "elsewhere").mkdir()
    for name in ("writer", "writer.state"):
        shutil.copy(tmp_path / name, tmp_path / "elsewhere" / name)
    world.back_up(Tree({b"a": b"3"}))

    moved = VaultWriter.open(world.stores, WriterCredentials.load(tmp_path / "elsewhere/writer"))
    assert len(moved.points()) == 3
    cut_short(world)
    with pytest.raises(IntegrityError, match="shorter"):
        moved.points()


def test_where_it_cannot_be_written_the_work_goes_on_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise UsageError("writer.state cannot be written", detail="Read-only file system")

    monkeypatch.setattr(key_files, "replace", read_only)
    point = world.back_up(Tree({b"a": b"2"}))
    assert world.restore(point=point.name) == {b"a": b"2"}
    assert "not remembered" in caplog.text
    assert "Read-only" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"type":"coffer-writer-1"}'])
def test_broken_it_is_said_and_not_passed_over(world: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "writer.state").write_bytes(content)
    with pytest.raises(UsageError, match=r"writer\.state is not a state file"):
        world.writer()


def test_of_another_vault_it_is_not_used(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.back_up(Tree({b"x": b"1"}), service="elsewhere")
    shutil.copy(tmp_path / "other/writer.state", tmp_path / "writer.state")
    assert len(world.writer().points()) == 1


def test_it_never_remembers_less(world: World) -> None:
    early = world.writer()
    early.points()
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_last=3))
    world.back_up(Tree({b"a": b"2"}))
    early.points()
    assert world.writer().points()
    for name in [name for name in world.memory.objects if name.startswith("config/00000002/")]:
        del world.memory.objects[name]
    with pytest.raises(IntegrityError, match="rolled back"):
        world.writer()


def test_of_two_processes_none_takes_back_what_the_other_saw(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is about to write what it knows while another comes with something newer."""
    vault, replace = world.credentials.vault, key_files.replace
    slow, quick = (KnownHeads(tmp_path / "writer", vault) for _ in range(2))
    other = threading.Thread(target=lambda: quick.remember([], 9))

    def pause(*arguments: object, **named: object) -> None:
        monkeypatch.setattr(key_files, "replace", replace)
        other.start()
        other.join(0.2)
        replace(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(key_files, "replace", pause)
    slow.remember([], 5)
    other.join()
    assert KnownHeads(tmp_path / "writer", vault).configuration == 9
