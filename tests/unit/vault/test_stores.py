from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from coffer.errors import NotAllowed, NotThere, NoVault, RefusedByPolicy, StoreFull, Unreachable, UsageError
from coffer.vault import configuration
from coffer.vault.store_set import StoreSet
from coffer.vault.stores import open_store
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestFileStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FileStore(tmp_path)

    def test_a_full_disk_leaves_nothing_behind(self, store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        store.put("packs/aa/before", b"1")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreFull, match="full"):
            store.put("packs/aa/one", b"content")
        monkeypatch.undo()
        assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["before"]

    def test_a_folder_that_is_not_mounted_says_nothing_about_absence(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path / "mount")
        for ask in (store.get, store.head, lambda name: list(store.list(name)), lambda name: store.put(name, b"1")):
            with pytest.raises(Unreachable, match="folder"):
                ask("a")
        assert not (tmp_path / "mount").exists()

    def test_a_forbidden_file_is_not_an_absent_one(self, store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
        store.put("a", b"1")

        def forbid(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", forbid)
        with pytest.raises(NotAllowed):
            store.get("a")

    def test_what_a_crash_left_is_no_object(self, store: FileStore) -> None:
        store.put("a/one", b"1")
        (store.root / "a/.new-0123").write_bytes(b"half")
        assert [info.name for info in store.list()] == ["a/one"]

    def test_names_do_not_climb_out(self, store: FileStore) -> None:
        for name in ("../a", "/etc/passwd", "a/../../b", ""):
            with pytest.raises(RefusedByPolicy):
                store.put(name, b"1")


def test_urls_open_what_they_say(tmp_path: Path) -> None:
    assert isinstance(open_store(f"file://{tmp_path}"), FileStore)
    assert open_store("memory:shared") is open_store("memory:shared")
    assert open_store("memory:") is not open_store("memory:")


@pytest.mark.parametrize(
    "url",
    ["", "/tmp", "file://host/dir", "file:relative", "ftp://x/y", "s3://", "s3://b/p?wrong=1", "s3://b/p?lock-days=x"],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as caught:
        open_store("s3://key:hunter2@bucket/prefix")
    assert "hunter2" not in str(caught.value)


def test_a_missing_folder_holds_no_vault(tmp_path: Path) -> None:
    with pytest.raises(NoVault):
        configuration.load(StoreSet([FileStore(tmp_path / "none")]), root=None)
    with pytest.raises(NoVault):
        configuration.load(StoreSet([FileStore(tmp_path)]), root=None)


def test_only_all_stores_together_can_say_not_there(tmp_path: Path) -> None:
    down = FileStore(tmp_path / "mount")
    with pytest.raises(Unreachable):
        StoreSet([MemoryStore(), down]).read("keys/x/00-00")
    with pytest.raises(NotThere):
        StoreSet([MemoryStore(), MemoryStore()]).read("keys/x/00-00")
