from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, NotThere, RefusedByPolicy, UsageError, WrongKey
from coffer.keys import Recipient, WriterCredentials, generate_identity
from coffer.vault import names
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.configuration import Configuration
from coffer.vault.reader import VaultReader
from coffer.vault.run_output import RunOutput
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(200_000)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal")
    return world


def test_a_new_recipient_opens_points_from_before_and_no_data_moved(world: World, tmp_path: Path) -> None:
    friend = generate_identity(tmp_path / "friend")
    packs = {name for name in world.memory.objects if not name.startswith(("keys/", "config/"))}
    change = VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    assert change.number == 2
    assert change.rewrapped == 4
    assert {name for name in world.memory.objects if not name.startswith(("keys/", "config/"))} == packs
    world.back_up(Tree({**FILES, b"b": b"2"}, same=frozenset(FILES)))
    for identity in (friend, world.identity):
        reader = VaultReader.open(world.stores, identity)
        assert reader.read_file(reader.points()[0], "files", b"a") == FILES[b"a"]
        assert reader.read_file(reader.point("latest"), "files", b"b") == b"2"
        assert reader.get_wal(CLUSTER, SEGMENT) == b"wal"
        assert reader.verify().ok
    assert verify_at_rest(world.stores).ok


def test_a_removed_recipient_opens_nothing(world: World, tmp_path: Path) -> None:
    friend = generate_identity(tmp_path / "friend")
    VaultAdministration(world.stores, world.identity).add_recipient(friend.recipient)
    change = VaultAdministration(world.stores, world.identity).remove_recipient(friend.recipient.fingerprint)
    assert change.left == 0
    with pytest.raises(WrongKey):
        VaultReader.open(world.stores, friend)
    assert world.restore() == FILES


def test_nobody_removes_themselves_or_a_stranger(world: World) -> None:
    administration = VaultAdministration(world.stores, world.identity)
    with pytest.raises(RefusedByPolicy):
        administration.remove_recipient(world.identity.recipient.fingerprint)
    with pytest.raises(NotThere):
        administration.remove_recipient("stranger")


def test_only_a_recipient_changes_the_vault(world: World, tmp_path: Path) -> None:
    with pytest.raises(WrongKey):
        VaultAdministration(world.stores, generate_identity(tmp_path / "stranger"))


def test_a_second_writer_writes_beside_the_first(world: World, tmp_path: Path) -> None:
    VaultAdministration(world.stores, world.identity).add_writer("second", tmp_path / "second")
    second = VaultWriter.open(world.stores, WriterCredentials.load(tmp_path / "second"))
    assert len(second.points()) == 1
    with pytest.raises(UsageError, match="exists"):
        VaultAdministration(world.stores, world.identity).add_writer("second", tmp_path / "third")


def test_a_revoked_writer_writes_no_more_and_its_points_stay(world: World) -> None:
    VaultAdministration(world.stores, world.identity).revoke_writer("writer")
    with pytest.raises(RefusedByPolicy):
        world.writer()
    assert world.restore() == FILES
    assert len(world.reader().points()) == 1


def test_a_writer_that_was_revoked_in_the_middle_of_a_run_commits_nothing(world: World) -> None:
    late = world.writer()
    with late.begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        builder.capture(Tree({b"late": b"1"}))
        VaultAdministration(world.stores, world.identity).revoke_writer("writer")
        with pytest.raises(RefusedByPolicy, match="may not write"):
            builder.commit({})
    assert len(world.reader().points()) == 1


def test_a_point_that_comes_while_its_writer_is_revoked_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    administration = VaultAdministration(world.stores, world.identity)
    publish = administration._root.publish

    def late(before: Configuration, **changes: object) -> Configuration:
        monkeypatch.setattr(administration._root, "publish", publish)
        world.back_up(Tree({b"late": b"1"}))  # listed before, committed before the revocation is published
        return publish(before, **changes)  # type: ignore[arg-type]

    monkeypatch.setattr(administration._root, "publish", late)
    assert administration.revoke_writer("writer").number == 3
    assert len(world.reader().points()) == 2
    assert world.restore() == {b"late": b"1"}


def test_a_writer_gone_bad_is_revoked_although_it_left_rubbish(world: World) -> None:
    [genuine] = [name for name in world.memory.objects if name.startswith("points/")]
    rubbish = world.memory.objects[genuine][:-1] + b"x"
    world.memory.objects[names.name_of(genuine.rpartition("/")[0], bytes(16), rubbish)] = rubbish
    VaultAdministration(world.stores, world.identity).revoke_writer("writer")
    assert world.restore() == FILES


def test_what_a_revoked_writer_commits_afterwards_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer whose program was changed: it does not look whether it was revoked."""
    late = world.writer()
    VaultAdministration(world.stores, world.identity).revoke_writer("writer")
    monkeypatch.setattr(VaultWriter, "_refresh", lambda self: None)
    monkeypatch.setattr(RunOutput, "_follow_recipients", lambda self: None)
    with late.begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        builder.capture(Tree({b"forged": b"1"}))
        builder.commit({})
    with pytest.raises(IntegrityError, match="revoked"):
        world.reader().points()


def test_a_configuration_that_was_set_back_is_refused(world: World, tmp_path: Path) -> None:
    """The store loses the configuration that revoked a writer: those who saw it do not believe the older one."""
    VaultAdministration(world.stores, world.identity).add_writer("second", tmp_path / "second")
    second = WriterCredentials.load(tmp_path / "second")
    world.reader().points()
    for name in [name for name in world.memory.objects if name.startswith("config/00000002/")]:
        del world.memory.objects[name]
    with pytest.raises(IntegrityError, match="rolled back"):
        VaultWriter.open(world.stores, second)
    with pytest.raises(IntegrityError, match="rolled back"):
        world.reader()
