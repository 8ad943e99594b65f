from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import NotThere
from coffer.sources.files import FilesSource
from coffer.vault.capture import Kind, Parent, SourceSink
from coffer.vault.point_builder import SourceSummary
from tests.unit.vault.making import World, read_tree


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


class Vanishing(FilesSource):
    """Does something just before the walk hands on a path."""

    def _walk(self, folder: bytes):  # type: ignore[no-untyped-def]
        for path, status in super()._walk(folder):
            if path == b"d/file":
                (self.root / "d/file").unlink(missing_ok=True)
            yield path, status


def test_a_file_that_vanishes_is_noted_and_the_rest_comes(world: World, root: Path) -> None:
    source = Vanishing("files", root)
    with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        summary = builder.capture(source)
        builder.commit({})
    assert summary.facts["gone"] == 1
    assert any("d/file" in note and "vanished" in note for note in source.notes)
    assert set(world.restore()) == {b"d/deep/large", b"empty"}


class Touching:
    """Passes everything on to a sink, and appends to the large file while it is read."""

    def __init__(self, sink: SourceSink, path: Path) -> None:
        self._sink = sink
        self._path = path

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def add_file(self, entry, blocks, *, ctime_ns: int = 0) -> None:  # type: ignore[no-untyped-def]
        def touched():  # type: ignore[no-untyped-def]
            for block in blocks:
                yield block
                if entry.path == b"d/deep/large" and len(block) == 1 << 20:
                    with self._path.open("ab") as stream:
                        stream.write(b"!")

        self._sink.add_file(entry, touched(), ctime_ns=ctime_ns)


class Growing(FilesSource):
    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None):  # type: ignore[no-untyped-def]
        return super().capture(Touching(sink, self.root / "d/deep/large"), kind, parent)  # type: ignore[arg-type]


def test_a_file_that_changes_while_read_is_noted_and_read_again_next_time(world: World, root: Path) -> None:
    settle()
    source = Growing("files", root)
    with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        builder.capture(source)
        builder.commit({})
    assert any("changed while" in note for note in source.notes)
    settle()
    back_up(world, root)
    assert world.restore() == read_tree(root)


def test_a_folder_that_is_not_there_makes_no_empty_point(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        back_up(world, tmp_path / "none")
    assert world.writer().points() == []
