from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import NotAllowed, NotThere
from coffer.sources.files import FilesSource
from coffer.sources.files.reading import open_file
from coffer.vault.capture import Buffer, Entry, Fact, Hole, Kind, Parent, SourceSink, StoredEntry
from coffer.vault.point_builder import SourceSummary
from tests.unit.vault.making import World, look_one_by_one, read_tree


def back_up(world: World, root: Path, kind: Kind = Kind.INCREMENTAL) -> SourceSummary:
    with world.writer().begin_point(service="app", kind=kind, started=datetime.now(UTC)) as builder:
        summary = builder.capture(FilesSource("files", root))
        builder.commit({})
    return summary


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "d/deep").mkdir(parents=True)
    (root / "d/file").write_bytes(b"1")
    (root / "d/deep/large").write_bytes(os.urandom(2_500_000))
    (root / "empty").touch()
    return root


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


def settle() -> None:
    """Let a file grow old enough for its times to be believed."""
    time.sleep(0.06)


def test_names_that_are_no_text_links_and_odd_things(world: World, root: Path) -> None:
    raw = bytes(root)
    odd = [b"new\nline", b"\xff\xfe", b"x" * 255, b" ", b"-rf", b"...", "ünïcode".encode()]
    for name in odd:
        Path(os.fsdecode(raw + b"/" + name)).write_bytes(name)
    (root / "outside").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("nowhere")
    (root / "to-folder").symlink_to("d")
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    summary = back_up(world, root, Kind.FULL)
    listener.close()
    restored = world.restore()
    assert {name: restored[name] for name in odd} == {name: name for name in odd}
    assert restored == read_tree(root)
    out = world.folder / "out"
    assert {name: str((out / name).readlink()) for name in ("outside", "dangling", "to-folder")} == {
        "outside": "/etc/passwd",
        "dangling": "nowhere",
        "to-folder": "d",
    }
    notes = summary.facts["notes"]
    assert isinstance(notes, list)
    assert len([note for note in notes if "neither" in str(note)]) == 2


def test_modes_times_and_empty_folders_come_back(world: World, root: Path) -> None:
    (root / "d/file").chmod(0o751)
    (root / "d/deep").chmod(0o711)
    os.utime(root / "d/file", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "d", ns=(1, 1_000_000_000_000_000_000))
    back_up(world, root)
    world.restore()
    out = world.folder / "out"
    assert (out / "d/file").stat().st_mode & 0o777 == 0o751
    assert (out / "d/deep").stat().st_mode & 0o777 == 0o711
    assert (out / "d/file").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (out / "d").stat().st_mtime_ns == 1_000_000_000_000_000_000


def test_only_what_changed_is_read_again(world: World, root: Path) -> None:
    settle()
    assert back_up(world, root, Kind.FULL).read == 2_500_001
    (root / "d/file").write_bytes(b"22")
    settle()
    summary = back_up(world, root)
    assert summary.read == 2
    assert summary.facts["unchanged"] == 2
    assert back_up(world, root).read == 0
    assert world.restore() == read_tree(root)


def test_a_change_that_keeps_size_and_mtime_is_seen(world: World, root: Path) -> None:
    settle()
    back_up(world, root, Kind.FULL)
    before = (root / "d/file").stat()
    (root / "d/file").write_bytes(b"2")
    os.utime(root / "d/file", ns=(before.st_atime_ns, before.st_mtime_ns))
    back_up(world, root)
    assert world.restore()[b"d/file"] == b"2"


class Meddling:
    """Passes everything on to a sink; does something when the source opens, or has read from, a path."""

    def __init__(self, sink: SourceSink, path: bytes, act: Callable[[], object]) -> None:
        self._sink = sink
        self._path = path
        self._act = act

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def add(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        self._sink.add(entry, ctime_ns=ctime_ns)
        if entry.path == self._path:
            self._act()

    def add_file(self, entry: Entry, blocks: Iterable[Buffer | Hole], *, ctime_ns: int = 0) -> None:
        def touched() -> Iterator[Buffer | Hole]:
            for block in blocks:
                yield block
                if entry.path == self._path:
                    self._act()

        self._sink.add_file(entry, touched(), ctime_ns=ctime_ns)


@dataclass
class Meddled:
    """A folder that is changed while it is read."""

    inner: FilesSource
    path: bytes
    act: Callable[[], object]
    name: str = "files"
    kind: str = "files"

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        return self.inner.capture(Meddling(sink, self.path, self.act), kind, parent)  # type: ignore[arg-type]


def meddle(world: World, root: Path, path: bytes, act: Callable[[], object]) -> SourceSummary:
    with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        summary = builder.capture(Meddled(FilesSource("files", root), path, act))
        builder.commit({})
    return summary


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    look_one_by_one(monkeypatch)


def notes(summary: SourceSummary) -> str:
    return repr(summary.facts["notes"])


@pytest.mark.usefixtures("one_by_one")
def test_what_vanishes_is_noted_and_the_rest_comes(world: World, root: Path) -> None:
    (root / "d/more").mkdir()
    summary = meddle(world, root, b"d", lambda: shutil.rmtree(root / "d/more", ignore_errors=True))
    assert "d/more: vanished" not in notes(summary)  # the folder was not listed yet
    (root / "d/more").mkdir()

    def remove() -> None:
        (root / "d/file").unlink(missing_ok=True)
        shutil.rmtree(root / "d/more", ignore_errors=True)

    summary = meddle(world, root, b"d/deep", remove)
    assert "d/file: vanished" in notes(summary)
    assert "d/more: vanished" in notes(summary)
    assert set(world.restore()) == {b"d/deep/large", b"empty"}


@pytest.mark.usefixtures("one_by_one")
def test_a_file_that_becomes_something_else_is_noted(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap(full: bytes) -> int:
        if full.endswith(b"d/file"):
            (root / "d/file").unlink()
            os.mkfifo(root / "d/file")
        if full.endswith(b"empty"):
            (root / "empty").unlink()
            (root / "empty").symlink_to("/etc/passwd")
        return open_file(full)

    monkeypatch.setattr("coffer.sources.files.source.open_file", swap)
    summary = back_up(world, root, Kind.FULL)
    assert "d/file: became something else" in notes(summary)
    assert "empty: became something else" in notes(summary)
    assert set(world.restore()) == {b"d/deep/large"}


def test_a_file_that_changes_once_while_read_is_read_again(world: World, root: Path) -> None:
    changes = iter([lambda: (root / "d/deep/large").write_bytes(b"later" * 100_000)])
    summary = meddle(world, root, b"d/deep/large", lambda: next(changes, lambda: None)())
    assert "changed" not in notes(summary)
    assert world.restore() == read_tree(root)


def test_a_file_that_never_rests_is_noted_and_read_again_next_time(world: World, root: Path) -> None:
    def append() -> None:
        with (root / "d/deep/large").open("ab") as stream:
            stream.write(b"!")

    settle()
    summary = meddle(world, root, b"d/deep/large", append)
    assert "d/deep/large: changed while it was read" in notes(summary)
    assert summary.files == 5
    settle()
    back_up(world, root)
    assert world.restore() == read_tree(root)


def test_a_file_that_may_not_be_read_makes_no_point(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(full: bytes) -> int:
        raise PermissionError(13, "Permission denied", full)

    monkeypatch.setattr("coffer.sources.files.source.open_file", refuse)
    with pytest.raises(NotAllowed, match="may not be read"):
        back_up(world, root)
    assert world.writer().points() == []


def entries(world: World) -> dict[bytes, StoredEntry]:
    reader = world.reader()
    return {entry.path: entry for entry in reader.entries(reader.point("latest"), "files")}


def test_names_of_one_file_share_number_and_content(world: World, root: Path) -> None:
    os.link(root / "d/file", root / "z-small")
    os.link(root / "d/deep/large", root / "z-large")
    settle()
    summary = back_up(world, root, Kind.FULL)
    found = entries(world)
    assert found[b"d/file"].link == found[b"z-small"].link != 0
    assert found[b"d/deep/large"].link == found[b"z-large"].link not in (0, found[b"d/file"].link)
    assert found[b"empty"].link == 0
    assert summary.read == 2_500_001
    assert world.restore() == read_tree(root)
    again = back_up(world, root)
    assert (again.read, again.facts["unchanged"]) == (0, 5)
    assert entries(world) == found
    os.link(root / "empty", root / "z-empty")
    (root / "d/file").unlink()
    back_up(world, root)
    assert world.reader().read_file(world.reader().point("latest"), "files", b"z-small") == b"1"
    assert entries(world)[b"z-small"].link == 0


def test_extended_attributes_are_kept(world: World, root: Path) -> None:
    os.setxattr(root / "d/file", "user.b", b"\0\xff")
    os.setxattr(root / "d/file", "user.a", b"")
    os.setxattr(root / "d", "user.folder", b"1")
    settle()
    back_up(world, root, Kind.FULL)
    assert entries(world)[b"d/file"].xattrs == ((b"user.a", b""), (b"user.b", b"\0\xff"))
    assert entries(world)[b"d"].xattrs == ((b"user.folder", b"1"),)
    os.removexattr(root / "d/file", "user.a")
    settle()
    back_up(world, root)
    assert entries(world)[b"d/file"].xattrs == ((b"user.b", b"\0\xff"),)


def test_holes_are_neither_read_nor_stored(world: World, root: Path) -> None:
    with (root / "sparse").open("wb") as stream:
        stream.write(b"head")
        stream.seek(3 << 30)
        stream.write(b"middle")
        stream.truncate(5 << 30)
    summary = back_up(world, root, Kind.FULL)
    assert summary.size == 2_500_001 + (5 << 30)
    reader = world.reader()
    reader.restore(reader.point("latest"), "files", world.folder / "out")
    restored = world.folder / "out/sparse"
    assert restored.stat().st_size == 5 << 30
    assert restored.stat().st_blocks < 4096
    with restored.open("rb") as stream:
        assert stream.read(5) == b"head\0"
        stream.seek((3 << 30) - 1)
        assert stream.read(8) == b"\0middle\0"


def test_an_unchanged_tree_stores_no_subtree(world: World, root: Path) -> None:
    for number in range(3000):
        (root / f"d/{number}").touch()
    settle()
    back_up(world, root, Kind.FULL)
    before = set(world.memory.objects)
    back_up(world, root)
    assert not [name for name in set(world.memory.objects) - before if name.startswith(("trees/", "packs/", "index/"))]
    (root / "d/1500").write_bytes(b"x")
    settle()
    back_up(world, root)
    assert len([name for name in set(world.memory.objects) - before if name.startswith("trees/")]) == 1
    assert world.restore() == read_tree(root)


def test_a_folder_that_is_not_there_makes_no_empty_point(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        back_up(world, tmp_path / "none")
    assert world.writer().points() == []
