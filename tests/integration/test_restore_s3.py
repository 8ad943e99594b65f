"""A restore from real S3: few requests, past delete markers and overwritten versions, beside a service that is gone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest

from coffer.errors import IntegrityError, Unreachable
from coffer.vault.capture import Kind
from coffer.vault.stores import Store, open_store
from coffer.vault.stores.file import FileStore
from tests.services.s3 import S3
from tests.services.throwaway import free_ports
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import Tree, World

FILES = {b"large": os.urandom(40 << 20), **{b"small/%d" % n: os.urandom(2000) for n in range(200)}}


@pytest.fixture
def prefix() -> str:
    return f"restore-{secrets.token_hex(4)}"


@pytest.fixture
def store(s3: S3, prefix: str) -> Store:
    return open_store(s3.url(prefix), credentials_file=s3.credentials_file)


@pytest.fixture
def world(tmp_path: Path, store: Store) -> World:
    (tmp_path / "near").mkdir()
    world = World(tmp_path, [FaultyStore(store), FileStore(tmp_path / "near")])
    world.back_up(Tree(FILES, block=1 << 20), kind=Kind.FULL)
    return world


def packs(store: Store) -> list[str]:
    return [info.name for info in store.list("packs/")]


def tamper(client: Any, bucket: str, prefix: str, names: list[str], harm: str) -> None:
    for name in names:
        if harm == "hidden":
            client.delete_object(Bucket=bucket, Key=f"{prefix}/{name}")
        else:
            client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=os.urandom(1000))


def test_neighbours_come_in_one_request(world: World, store: Store) -> None:
    remote = world.stores[0]
    assert isinstance(remote, FaultyStore)
    reader = world.reader([remote])
    point = reader.point("latest")
    remote.calls.clear()
    assert world.restore(stores=[remote]) == FILES
    reads = [call for call in remote.calls if call.verb == "get" and call.name.startswith("packs/")]
    assert len(reads) <= 12, "41 MiB in reads of up to 8 MiB, from two packs"
    assert point.name == reader.point("latest").name


@pytest.mark.parametrize("harm", ["hidden", "overwritten"])
def test_versions_give_what_was_taken_away(s3: S3, world: World, store: Store, prefix: str, harm: str) -> None:
    tamper(s3.client("admin"), s3.bucket, prefix, packs(store), harm)
    reader = world.reader([store])
    summary = reader.restore(reader.point("latest"), "files", world.folder / "out")
    assert (world.folder / "out/large").read_bytes() == FILES[b"large"]
    assert any("tampering" in note or "read elsewhere" in note for note in summary.notes)


def test_a_service_that_dies_in_the_middle_is_left_for_the_next_store(
    s3: S3,
    world: World,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From its third read on, nobody listens where the service was."""
    remote = world.stores[0]
    assert isinstance(remote, FaultyStore)
    reader = world.reader()
    nobody = s3.url(prefix).replace(s3.endpoint, f"http://127.0.0.1:{free_ports(1)[0]}")
    dead = open_store(nobody, credentials_file=s3.credentials_file)
    remote.act(lambda: setattr(remote, "inner", dead), at=3, verbs=["get"], prefix="packs/")
    reader.access().stores.patience = 1.0
    summary = reader.restore(reader.point("latest"), "files", world.folder / "out")
    assert (world.folder / "out/large").read_bytes() == FILES[b"large"]
    assert any("others are asked first" in note for note in summary.notes)


def test_what_is_gone_for_good_is_named(s3: S3, world: World, store: Store, prefix: str) -> None:
    """Without versions of it anywhere else, the loss of a pack is damage, and never absence or a shorter file."""
    (gone, *_) = packs(store)
    (world.folder / "near" / gone).unlink()
    tamper(s3.client("admin"), s3.bucket, prefix, [gone], "hidden")
    assert world.restore() == FILES  # a version is still there
    reader = world.reader([world.stores[1]])
    with pytest.raises((IntegrityError, Unreachable), match=gone):
        reader.restore(reader.point("latest"), "files", world.folder / "again")
