from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from coffer.errors import (
    CofferError,
    IntegrityError,
    NotAllowed,
    NotThere,
    NoVault,
    RefusedByPolicy,
    StoreFull,
    Unreachable,
    UsageError,
)
from coffer.vault import configuration
from coffer.vault.store_set import StoreSet
from coffer.vault.stores import open_store, placing
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as FAT and some FUSE do

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("without_links")
class TestFileStoreWithoutHardLinks(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FileStore(tmp_path)


@pytest.mark.usefixtures("without_links")
class TestFileStoreWithNothingButExclusiveCreation(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
        def refuse(*_: object) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(placing, "rename_noreplace", refuse)
        return FileStore(tmp_path)

    def test_the_claim_of_a_killed_writer_is_waited_for_said_and_swept(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(placing, "_CLAIM_SECONDS", 0.1)
        (store.root / ".new-claim-a").touch()
        with pytest.raises(Unreachable, match="claim-a"):
            store.put("a", b"1")
        assert [*store.list()] == []
        store.sweep(store.now() + timedelta(minutes=1))
        store.put("a", b"1")
        assert [path.name for path in store.root.iterdir()] == ["a"]


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

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENOSPC, StoreFull),
            (errno.EDQUOT, StoreFull),
            (errno.EROFS, NotAllowed),
            (errno.EACCES, NotAllowed),
            (errno.ESTALE, Unreachable),
            (errno.EIO, Unreachable),
            (errno.ENOTDIR, NotThere),
        ],
    )
    def test_what_the_system_says_keeps_its_meaning(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CofferError]
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(kind, match="a/b"):
            store.put("a/b", b"1")

    def test_an_object_that_was_cut_short_is_not_taken_for_done(self, store: FileStore) -> None:
        store.put("a", b"whole")
        for other in (b"who", b"wholesome", b""):
            (store.root / "a").write_bytes(other)
            with pytest.raises(IntegrityError):
                store.put("a", b"whole")

    def test_leftovers_are_swept_once_they_are_old(self, store: FileStore) -> None:
        store.put("a/one", b"1")
        for name in ("a/.new-0123", ".new-4567", "a/.new-claim-x"):
            (store.root / name).write_bytes(b"half")
        store.sweep(store.now() - timedelta(hours=1))
        assert len([*store.root.rglob(".new-*")]) == 3
        store.sweep(store.now() + timedelta(minutes=1))
        assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["one"]

    def test_whole_names_come_in_order(self, store: FileStore) -> None:
        names = sorted(["b/1", "b-side/1", "b.d/x/y", "b0", "b/1-2/z", "a"])
        for name in names:
            store.put(name, b"1")
        assert [info.name for info in store.list()] == names
        assert [info.name for info in store.list("b/1")] == ["b/1", "b/1-2/z"]
        assert [info.name for info in store.list("b.d/x")] == ["b.d/x/y"]

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
    [
        "",
        "/tmp",
        "file://host/dir",
        "file:relative",
        "ftp://x/y",
        "s3://",
        "gs://",
        "s3://b/p?wrong=1",
        "s3://b/p?lock-days=x",
        "s3://b/p?part-mib=4",
        "s3://b/p?timeout=nan",
        "s3://b/p?deadline=inf",
        "s3://b/p?attempts=0",
        "s3://b/p?sse=rot13",
        "gs://b/p?region=x",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


def test_without_credentials_it_is_not_the_store_that_is_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NotAllowed, match="no credentials"):
        open_store("s3://bucket/x?endpoint=http://127.0.0.1:9&region=x").get("a")


def test_a_bucket_that_none_can_be_called_is_a_wrong_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(UsageError, match="address"):
        open_store("s3://no bucket/x?endpoint=http://127.0.0.1:9&region=x").get("a")


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
