"""Trees as bad as they come, from a real folder through the vault into another; points that name what they must not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import IntegrityError
from coffer.sources.files import FilesSource
from coffer.vault.capture import Buffer, Entry, Fact, Hole, Kind, Parent, Source, SourceSink
from tests.faults.outcomes import refused, shows
from tests.unit.vault.making import Tree, World, look_one_by_one, read_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d/file").write_bytes(b"content")
    return root


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


def there_and_back(world: World, source: Source) -> tuple[Path, str]:
    """Back a folder up and restore it; return where to, and the notes."""
    with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        summary = builder.capture(source)
        builder.commit({})
    reader = world.reader()
    reader.restore(reader.point("latest"), "files", world.folder / "out")
    assert reader.verify().ok
    return world.folder / "out", repr(summary.facts["notes"])


@shows(
    "File names with newlines, of bytes that are no UTF-8, of 255 bytes, blank, of dots",
    stays="they come back as they were",
)
def test_names_of_any_bytes(world: World, root: Path) -> None:
    odd = [
        b"new\nline",
        b"\xff\xfe\x80",
        b"x" * 255,
        b"\xc3" * 255,
        b" ",
        b"-rf",
        b"...",
        b"..x",
        b"\\",
        b"*?[",
        b"\t\r",
    ]
    for name in odd:
        Path(os.fsdecode(bytes(root) + b"/d/" + name)).write_bytes(name)
    out, _ = there_and_back(world, FilesSource("files", root))
    assert read_tree(out) == read_tree(root)
    assert len(read_tree(out)) == len(odd) + 1


@shows("Sparse files, with holes at either end and of gigabytes", stays="every byte comes back, and the holes as holes")
def test_sparse_files(world: World, root: Path) -> None:
    with (root / "sparse").open("wb") as stream:
        stream.truncate(2 << 30)
        stream.seek(1 << 30)
        stream.write(b"in the middle")
    with (root / "ends").open("wb") as stream:
        stream.seek(1 << 20)
        stream.write(b"end")
    (root / "zeros").write_bytes(bytes(3 << 20))
    out, _ = there_and_back(world, FilesSource("files", root))
    for name in ("sparse", "ends", "zeros"):
        assert (out / name).stat().st_size == (root / name).stat().st_size
    assert (out / "sparse").stat().st_blocks * 512 < 1 << 20
    with (out / "sparse").open("rb") as stream:
        stream.seek((1 << 30) - 1)
        assert stream.read(15) == b"\0in the middle\0"
    assert (out / "ends").read_bytes() == (root / "ends").read_bytes()
    assert (out / "zeros").read_bytes() == bytes(3 << 20)


@shows("Hard links, extended attributes", stays="names of one file are names of one file again, attributes and all")
def test_hard_links(world: World, root: Path) -> None:
    os.link(root / "d/file", root / "other")
    os.setxattr(root / "other", "user.kept", b"\0value")
    out, _ = there_and_back(world, FilesSource("files", root))
    assert (out / "d/file").stat().st_ino == (out / "other").stat().st_ino
    assert os.getxattr(out / "d/file", "user.kept") == b"\0value"
    assert read_tree(out) == read_tree(root)


@shows(
    "Symbolic links out of the tree, in circles, to nowhere",
    stays="kept as links; nothing behind them is read or written",
)
def test_links_out_of_the_tree(world: World, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    targets = {"out": str(tmp_path / "outside"), "etc": "/etc", "circle": "circle", "nowhere": "none", "up": "../../.."}
    for name, target in targets.items():
        (root / name).symlink_to(target)
    out, _ = there_and_back(world, FilesSource("files", root))
    assert {name: str((out / name).readlink()) for name in targets} == targets
    assert set(read_tree(out)) == {b"d/file"}


@shows("Sockets, pipes and devices in the tree", stays="left out, and named in the point's notes")
def test_what_is_no_file(world: World, root: Path) -> None:
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "socket"))
        out, notes = there_and_back(world, FilesSource("files", root))
    assert all(name in notes for name in ("pipe", "null", "socket"))
    assert sorted(path.name for path in out.iterdir()) == ["d"]


@dataclass
class Meddled:
    """A folder in which something happens when a path is reached, and again after each block that is read of it."""

    inner: FilesSource
    path: bytes
    act: Callable[[], object]
    name: str = "files"
    kind: str = "files"

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        return self.inner.capture(_Meddling(sink, self.path, self.act), kind, parent)  # type: ignore[arg-type]


class _Meddling:
    def __init__(self, sink: SourceSink, path: bytes, act: Callable[[], object]) -> None:
        self._sink, self._path, self._act = sink, path, act

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def add(self, entry: Entry, **more: int) -> None:
        self._sink.add(entry, **more)
        if entry.path == self._path:
            self._act()

    def add_file(self, entry: Entry, blocks: Iterable[Buffer | Hole], **more: int) -> None:
        def touched() -> Iterable[Buffer | Hole]:
            for block in blocks:
                yield block
                if entry.path == self._path:
                    self._act()

        self._sink.add_file(entry, touched(), **more)  # type: ignore[arg-type]


@shows("A file that grows while it is read, and never rests", stays="taken as it was read, noted, read again next time")
def test_a_file_that_changes_while_it_is_read(world: World, root: Path) -> None:
    (root / "log").write_bytes(bytes(range(256)) * 10_000)

    def grow() -> None:
        with (root / "log").open("ab") as stream:
            stream.write(b"more")

    out, notes = there_and_back(world, Meddled(FilesSource("files", root), b"log", grow))
    assert "log: changed while it was read" in notes
    assert (out / "log").read_bytes().startswith(bytes(range(256)) * 10_000)


@shows("Files and folders that vanish while the tree is read", stays="noted; the rest comes back")
def test_what_vanishes_while_it_is_read(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_one_by_one(monkeypatch)
    (root / "d/deep").mkdir()
    (root / "d/gone").write_bytes(b"1")
    (root / "last").write_bytes(b"2")

    def remove() -> None:
        (root / "d/gone").unlink(missing_ok=True)

    out, notes = there_and_back(world, Meddled(FilesSource("files", root), b"d/deep", remove))
    assert "d/gone: vanished" in notes
    assert set(read_tree(out)) == {b"d/file", b"last"}


@shows(
    "A manifest that names ../../etc, an absolute path, an empty part",
    IntegrityError,
    stays="nothing is written, in or out of the target",
)
def test_a_manifest_that_climbs_out(tmp_path: Path) -> None:
    for number, path in enumerate(
        (b"../../etc/passwd", b"/etc/passwd", b"a/../../b", b"a//b", b"./a", b"a/", b"..", b".")
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder)
        point = world.back_up(Tree({path: b"owned"}))
        before = sorted(tmp_path.rglob("*"))
        with refused("outside"):
            world.reader().restore(point, "files", folder / "target/deep")
        assert sorted(each for each in tmp_path.rglob("*") if not each.name.endswith(".state")) == [
            each for each in before if not each.name.endswith(".state")
        ]


@shows(
    "A point that names a file below a symbolic link of its own",
    IntegrityError,
    stays="nothing is written through the link",
)
def test_a_file_behind_a_link(world: World, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    point = world.back_up(Tree({b"link/file": b"owned"}, links={b"link": os.fsencode(tmp_path / "victim")}))
    with refused():
        world.reader().restore(point, "files", tmp_path / "target")
    assert list((tmp_path / "victim").iterdir()) == []
