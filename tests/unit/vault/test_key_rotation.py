"""Someone goes: what they knew opens what was written before, and nothing that is written after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, RefusedByPolicy, WrongKey
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.vault import chunk_index, key_objects, names, packs, points, trees, wal
from coffer.vault import configuration as configurations
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys, open_index_keys
from coffer.vault.reader import VaultReader
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World
from tests.unit.vault.stranger import Stranger

NEXT = SEGMENT[:-1] + "4"
OLD = {b"old": os.urandom(200_000), b"both": os.urandom(100_000)}
NEW = {b"new": os.urandom(200_000), b"both": OLD[b"both"]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    world.back_up(Tree(OLD), kind=Kind.FULL)
    world.writer().put_wal(CLUSTER, SEGMENT, b"old wal")
    return world


def data_objects(folder: Path) -> dict[str, int]:
    """Names and mtimes of everything but keys and configurations."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in found
        if path.relative_to(folder).parts[0] not in ("keys", "config")
    }


def key_objects_of(world: World) -> Iterator[tuple[str, bytes]]:
    store = world.stores[0]
    for info in store.list(f"{names.KEYS}/"):
        yield info.name, store.get(info.name)


def test_b_comes_and_a_goes(world: World, tmp_path: Path) -> None:
    """The whole story: B opens all points, A's old key opens nothing written after, and no data object changed."""
    a, before = world.identity, data_objects(tmp_path / "store")
    copied = {name for name, _ in key_objects_of(world)}
    known_to_a = open_index_keys(StoreSet(world.stores), world.reader().access().configuration, a)
    b = generate_identity(tmp_path / "b")
    VaultAdministration(world.stores, a).add_recipient(Recipient.load(tmp_path / "b.pub"))
    b = Identity.load(tmp_path / "b")
    VaultAdministration(world.stores, b).remove_recipient("id")
    assert data_objects(tmp_path / "store") == before
    assert copied.isdisjoint(name for name, _ in key_objects_of(world))

    world.back_up(Tree(NEW))
    world.writer().put_wal(CLUSTER, NEXT, b"new wal")
    assert {name: at for name, at in data_objects(tmp_path / "store").items() if name in before} == before
    reader = VaultReader.open(world.stores, b)
    first, second = reader.points()
    assert reader.read_file(first, "files", b"old") == OLD[b"old"]
    assert reader.read_file(second, "files", b"new") == NEW[b"new"]
    assert (reader.get_wal(CLUSTER, SEGMENT), reader.get_wal(CLUSTER, NEXT)) == (b"old wal", b"new wal")
    assert reader.verify().ok
    assert verify_at_rest(world.stores).ok

    with pytest.raises(WrongKey):
        VaultReader.open(world.stores, a)
    opens_nothing(world, a, known_to_a, set(data_objects(tmp_path / "store")) - set(before))


def opens_nothing(world: World, a: Identity, known: IndexKeys, written_after: set[str]) -> None:
    """Try whatever A has on everything: A's key on every key object, the index keys A knew on every sealed record."""
    store = world.stores[0]
    configuration = VaultReader.open(world.stores, Identity.load(world.folder / "b")).access().configuration
    for name, data in key_objects_of(world):
        assert key_objects.open_wrap(key_objects.open_record(data, name, configuration), a) is None
        record = key_objects.open_record(data, name, configuration)
        for wrap in record.wraps:  # whoever it is for, say it is for A
            stolen = replace_wraps(record, [key_objects.Wrap(bytes.fromhex(a.fingerprint), *fields(wrap))])
            with pytest.raises(IntegrityError):
                key_objects.open_wrap(stolen, a)
    posing = replace(known, number=2)
    tried = 0
    for name in written_after:
        for keys in (known, posing):
            kind = name.split("/")[0]
            data = store.get(name)
            if kind == "points":
                attempt = lambda: points.open_manifest(keys, configuration, name, data)  # noqa: B023, E731
            elif kind == "index":
                attempt = lambda: chunk_index.open_segment(keys, name, data)  # noqa: B023, E731
            elif kind == "trees":
                attempt = lambda: trees.open_subtree(keys, name, data, ChunkNumbers())  # noqa: B023, E731
            elif kind == "wal":
                attempt = lambda: wal._open_header(data, name, keys, configuration)  # noqa: B023, E731
            else:
                continue
            with pytest.raises(IntegrityError):
                attempt()
            tried += 1
    assert tried >= 2 * 4


def fields(wrap: key_objects.Wrap) -> tuple[bytes, bytes]:
    return wrap.ciphertext, wrap.sealed


def replace_wraps(record: key_objects.KeyRecord, wraps: list[key_objects.Wrap]) -> key_objects.KeyRecord:
    return key_objects.KeyRecord(
        vault=record.vault, purpose=record.purpose, id=record.id, commitment=record.commitment, wraps=wraps
    )


def test_content_is_found_again_after_a_change_of_keys(world: World, tmp_path: Path) -> None:
    generate_identity(tmp_path / "b")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "b.pub"))
    VaultAdministration(world.stores, world.identity).remove_recipient("b")
    packs_before = [info.name for info in world.stores[0].list("packs/")]
    trees_before = [info.name for info in world.stores[0].list("trees/")]
    point = world.back_up(Tree(OLD))
    assert [info.name for info in world.stores[0].list("packs/")] == packs_before
    assert len([*world.stores[0].list("trees/")]) == 2 * len(trees_before)  # sealed anew: their names are news
    assert point.stored == 0
    assert world.restore(point=point.name) == OLD


def test_a_writer_that_goes_reads_no_names_of_what_comes_after(world: World, tmp_path: Path) -> None:
    gone = world.credentials
    known = open_index_keys(StoreSet(world.stores), world.reader().access().configuration, gone)
    administration = VaultAdministration(world.stores, world.identity)
    administration.add_writer("second", tmp_path / "second")
    administration.revoke_writer("writer")
    second = VaultWriter.open(world.stores, WriterCredentials.load(tmp_path / "second"))
    with second.begin_point(service="app", kind=Kind.FULL, started=world.now()) as builder:
        builder.capture(Tree(NEW))
        point = builder.commit({})
    configuration = world.reader().access().configuration
    with pytest.raises(WrongKey):
        open_index_keys(StoreSet(world.stores), configuration, gone)
    with pytest.raises(IntegrityError, match="index key"):
        points.open_manifest(known, configuration, point.object_name, world.stores[0].get(point.object_name))
    assert world.restore(point=point.name) == NEW


def test_a_writer_that_runs_for_weeks_follows(world: World, tmp_path: Path) -> None:
    """Recipients change while a writer holds the vault open: its next WAL and its next point are for the new ones."""
    writer = world.writer()
    writer.put_wal(CLUSTER, NEXT, b"before")
    a = world.identity
    generate_identity(tmp_path / "b")
    VaultAdministration(world.stores, a).add_recipient(Recipient.load(tmp_path / "b.pub"))
    b = Identity.load(tmp_path / "b")
    VaultAdministration(world.stores, b).remove_recipient("id")
    later = SEGMENT[:-1] + "5"
    writer.put_wal(CLUSTER, later, b"after")
    with writer.begin_point(service="app", kind=Kind.FULL, started=world.now()) as builder:
        builder.capture(Tree(NEW))
        builder.commit({})
    reader = VaultReader.open(world.stores, b)
    assert [reader.get_wal(CLUSTER, each) for each in (NEXT, later)] == [b"before", b"after"]
    assert reader.verify().ok
    for name, data in key_objects_of(world):
        record = key_objects.open_record(data, name, reader.access().configuration)
        assert bytes.fromhex(a.fingerprint) not in {wrap.recipient for wrap in record.wraps}


def test_a_point_in_work_while_someone_goes_is_taken_again(world: World, tmp_path: Path) -> None:
    generate_identity(tmp_path / "b")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "b.pub"))
    writer = world.writer()
    with writer.begin_point(service="app", kind=Kind.FULL, started=world.now()) as builder:
        builder.capture(Tree(NEW))
        VaultAdministration(world.stores, world.identity).remove_recipient("b")
        with pytest.raises(RefusedByPolicy, match="Take it again"):
            builder.commit({})
    assert len(world.reader().points()) == 1
    with writer.begin_point(service="app", kind=Kind.FULL, started=world.now()) as builder:
        builder.capture(Tree(NEW))
        builder.commit({})
    assert world.restore() == NEW


def test_with_only_the_writers_files_nothing_can_be_decrypted(world: World) -> None:
    """Every secret that the writer's files hold or lead to, tried on every wrap, content key and chunk of the vault."""
    credentials, reader = world.credentials, world.reader()
    configuration = reader.access().configuration
    keys = open_index_keys(StoreSet(world.stores), configuration, credentials)
    secrets = [credentials.signing_key, credentials.seed]
    secrets += [keys.chunk_ids, keys.records, keys.trees, keys.tree_ids, keys.tree_nonces, keys.wal]
    for name, data in key_objects_of(world):
        record = key_objects.open_record(data, name, configuration)
        if record.purpose == key_objects.INDEX:
            secrets.append(key_objects.open_wrap(record, credentials) or b"")
            continue
        assert key_objects.open_wrap(record, credentials) is None
        for wrap in record.wraps:
            stolen = replace_wraps(record, [key_objects.Wrap(bytes.fromhex(credentials.fingerprint), *fields(wrap))])
            with pytest.raises(IntegrityError):
                key_objects.open_wrap(stolen, credentials)
    assert all(len(secret) == 32 for secret in secrets)
    for info in world.stores[0].list("packs/"):
        data = world.stores[0].get(info.name)
        pack, run, wrapped = data[24:40], data[40:56], data[56 : packs.HEADER_SIZE]
        for secret in secrets:
            with pytest.raises(IntegrityError):
                packs.RunKey(configuration.vault, run, secret).unwrap(pack, wrapped, info.name)
    for chunk_id, place in chunk_index.open_segment(keys, *one(world, "index/")):
        sealed = world.stores[0].get(place.pack.name, place.offset, place.sealed)
        for secret in secrets:
            with pytest.raises(IntegrityError):
                packs.open_chunk(keys, secret, chunk_id, place, sealed)
    with pytest.raises(WrongKey):
        VaultReader.open(world.stores, credentials)
    with pytest.raises(WrongKey):
        VaultAdministration(world.stores, credentials)


def one(world: World, prefix: str) -> tuple[str, bytes]:
    name = next(info.name for info in world.stores[0].list(prefix))
    return name, world.stores[0].get(name)


def test_an_index_key_that_the_root_does_not_name_is_never_used(world: World) -> None:
    """A key object that the root signed, but its configuration was never published."""
    administration = VaultAdministration(world.stores, world.identity)
    new = administration._root.with_new_index_key(administration.configuration)
    assert len(new.index_keys) == 2
    keys = open_index_keys(
        StoreSet(world.stores), configurations.load(StoreSet(world.stores), root=None), world.identity
    )
    assert keys.number == 1
    orphan = key_objects.folder(key_objects.INDEX, new.index_keys[1][:16])
    assert any(name.startswith(orphan) for name, _ in key_objects_of(world))
    administration.settle()  # it stays: were a newer configuration hidden, it would be what opens all names
    assert any(name.startswith(orphan) for name, _ in key_objects_of(world))
    world.back_up(Tree(NEW))
    assert world.restore() == NEW


def test_a_stranger_with_the_document_reads_what_two_index_keys_sealed(world: World, tmp_path: Path) -> None:
    generate_identity(tmp_path / "b")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "b.pub"))
    VaultAdministration(world.stores, world.identity).remove_recipient("b")
    world.back_up(Tree(NEW))
    world.writer().put_wal(CLUSTER, NEXT, b"new wal")
    stranger = Stranger(tmp_path / "store", world.identity.seed, world.credentials.root)
    assert len(stranger.keys) == 2
    assert [stranger.files(point, "files") for point in stranger.points()] == [OLD, NEW]
    assert [stranger.wal(CLUSTER, each) for each in (SEGMENT, NEXT)] == [b"old wal", b"new wal"]
