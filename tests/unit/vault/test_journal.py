"""Shipments of files between points: what they hold, how long they stay, what forgery and loss look like."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import IntegrityError, NotInEveryStore
from coffer.vault import journal
from coffer.vault.capture import Kind
from coffer.vault.journal import ShippedFile
from coffer.vault.replication import replicate
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World
from tests.unit.vault.stranger import Stranger
from tests.unit.vault.test_pruning import WAIT, pruned


def shipped(path: bytes, content: bytes) -> ShippedFile:
    return ShippedFile(path, 0o440, 0, 0, 1_700_000_000_000_000_000, len(content), 0, len(content))


def ship(world: World, files: dict[bytes, bytes], previous: str = "") -> str:
    listed = [shipped(path, content) for path, content in files.items()]
    now = time.time_ns()
    name, lacking = world.writer().ship(
        "app", "files", listed, b"".join(files.values()), complete_ns=now, previous=previous
    )
    assert lacking is None
    return name


def test_what_was_shipped_comes_back_in_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = ship(world, {b"a": b"one" * 1000, b"sub/b": b""})
    ship(world, {b"c": b"two"}, previous=first)
    reader = world.reader()
    found = reader.shipments("app", "files")
    assert [[each.path for each in shipment.files] for shipment in found] == [[b"a", b"sub/b"], [b"c"]]
    assert reader.shipped_content(found[0]) == b"one" * 1000
    assert world.writer().shipments("app", "files") == found
    assert reader.shipments("app", "files", since=found[1].shipped) == found[1:]
    assert reader.shipments("app", "files", until=found[0].shipped) == found[:1]
    assert not reader.shipments("app", "other")
    assert reader.verify().ok
    assert b"one" not in b"".join(world.memory.objects.values())


def test_a_head_that_is_longer_than_a_first_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    names = {f"{number:064x}".encode() + bytes(str(hash((number, 7))), "ascii"): b"" for number in range(4000)}
    ship(world, names)
    [found] = world.reader().shipments("app", "files")
    assert [each.path for each in found.files] == list(names)


def test_a_shipment_that_is_gone_between_others_is_missed(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = ship(world, {b"a": b"1"})
    second = ship(world, {b"b": b"2"}, previous=first)
    ship(world, {b"c": b"3"}, previous=second)
    del world.memory.objects[second]
    with pytest.raises(IntegrityError, match="missing"):
        world.reader().shipments("app", "files")


def test_the_oldest_may_have_been_pruned(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = ship(world, {b"a": b"1"})
    ship(world, {b"b": b"2"}, previous=first)
    del world.memory.objects[first]
    assert len(world.reader().shipments("app", "files")) == 1


def test_an_altered_or_moved_shipment_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    name = ship(world, {b"a": b"content" * 100})
    whole = world.memory.objects.pop(name)
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    world.memory.objects[name] = changed
    reader = world.reader()
    [found] = reader.shipments("app", "files")
    with pytest.raises(IntegrityError):
        reader.shipped_content(found)
    assert not world.reader().verify().ok
    del world.memory.objects[name]
    world.memory.put(name.replace("journal/app/files", "journal/app/other"), whole)
    with pytest.raises(IntegrityError, match="another's place"):
        world.reader().shipments("app", "other")


def test_one_who_was_revoked_ships_no_more(tmp_path: Path) -> None:
    from coffer.vault.administration import VaultAdministration

    world = World(tmp_path)
    ship(world, {b"a": b"1"})
    VaultAdministration(world.stores, world.identity).revoke_writer("writer")
    assert len(world.reader().shipments("app", "files")) == 1, "what was shipped before stays genuine"


def test_shipments_go_when_every_kept_point_is_younger_and_no_sooner(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    ship(world, {b"b": b"2"})
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    assert len(world.reader().shipments("app", "files")) == 1, "the kept point is older"
    world.pass_time(hours=50)
    world.back_up(Tree({b"a": b"1", b"b": b"2"}), kind=Kind.FULL)
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    assert not world.reader().shipments("app", "files"), "the one kept point began after it, and holds it"


def test_a_point_without_the_source_covers_no_shipment(tmp_path: Path) -> None:
    world = World(tmp_path)
    ship(world, {b"b": b"2"})
    world.pass_time(hours=50)
    world.back_up(Tree({b"a": b"1"}, name="postgres"), kind=Kind.FULL)
    world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL, service="other")
    pruned(world)
    world.pass_time(**WAIT)
    pruned(world)
    assert len(world.reader().shipments("app", "files")) == 1


def test_a_copy_of_the_vault_has_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    ship(world, {b"b": b"2"})
    copy = MemoryStore()
    assert replicate(world.stores, [copy]).ok
    [found] = world.reader([copy]).shipments("app", "files")
    assert world.reader([copy]).shipped_content(found) == b"2"


def test_a_store_that_was_away_is_completed_later(tmp_path: Path) -> None:
    good, bad = MemoryStore(), FaultyStore(MemoryStore())
    world = World(tmp_path, [good, bad])
    bad.fail(times=1000, verbs=("put",))
    _, lacking = world.writer().ship("app", "files", [shipped(b"b", b"2")], b"2", complete_ns=0)
    assert isinstance(lacking, NotInEveryStore)
    bad.heal()
    assert any("journal/" in problem.object for problem in verify_at_rest(world.stores).problems)
    assert world.writer().complete_shipments("app", "files") == 1
    assert verify_at_rest(world.stores).ok
    reader = world.reader([bad])
    [found] = reader.shipments("app", "files")
    assert reader.shipped_content(found) == b"2"


def test_a_stranger_reads_them_by_the_format_alone(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    ship(world, {b"a": b"one" * 1000, b"sub/b": b"two"})
    [root] = world.identity.recipient.vaults.values()
    assert Stranger(tmp_path / "store", world.identity.seed, root).shipped("app", "files") == {
        b"a": b"one" * 1000,
        b"sub/b": b"two",
    }


@given(path=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_path_leaves_the_folder(path: bytes) -> None:
    parts = path.split(b"/")
    bad = b"\0" in path or any(part in (b"", b".", b"..") for part in parts)
    if bad:
        with pytest.raises(IntegrityError):
            journal.check_path(path, "name")
    else:
        journal.check_path(path, "name")
