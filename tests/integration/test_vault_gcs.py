"""The vault in Google Cloud Storage, as an emulator has it: the conformance suite, generations, whole points."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from coffer.vault.capture import Kind
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from tests.services.gcs import Gcs, gcs  # noqa: F401 - a fixture
from tests.unit.vault.making import Tree, World
from tests.unit.vault.store_conformance import StoreConformance


def opened(server: Gcs, prefix: str = "") -> Store:
    return open_store(server.url(prefix or f"test-{secrets.token_hex(4)}"))


class TestGsStore(StoreConformance):
    @pytest.fixture
    def store(self, gcs: Gcs) -> Store:  # noqa: F811
        return opened(gcs)


def test_a_vault_lives_in_a_bucket(gcs: Gcs, tmp_path: Path) -> None:  # noqa: F811
    store = opened(gcs)
    world = World(tmp_path, [store])
    files = {b"a": os.urandom(12 << 20), b"b": b"small"}
    world.back_up(Tree(files, block=1 << 20), kind=Kind.FULL)
    world.back_up(Tree({**files, b"c": b"new"}, same=frozenset(files)))
    assert world.restore() == {**files, b"c": b"new"}
    assert verify_at_rest([store]).ok


def test_more_objects_than_a_page_holds(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("coffer.vault.stores.gs._PAGE", 7)
    store = opened(gcs)
    for number in range(23):
        store.put(f"packs/{number:02}", b"%d" % number)
    assert [info.name for info in store.list("packs/")] == [f"packs/{number:02}" for number in range(23)]
