"""The walk of a folder: in order of path, whole, the same by itself and by the process that walks ahead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer import processes
from coffer.errors import NotAllowed, OutsideSystemError
from coffer.sources.files import FilesSource, walk_ahead
from coffer.sources.walking import program, records, telling, walk
from coffer.vault.capture import Kind
from tests.unit.vault.making import World, read_tree
from tests.unit.vault.test_files_source import back_up, entries, notes, settle

NAME = st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))


def make(root: Path, paths: set[bytes]) -> None:
    for path in sorted(paths):
        full = root / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.touch()


def safely(paths: list[list[bytes]]) -> set[bytes]:
    """Return paths of which none is a file and a folder."""
    joined = {b"/".join(parts) for parts in paths}
    return {path for path in joined if not any(other.startswith(path + b"/") for other in joined)}


@given(st.lists(st.lists(NAME, min_size=1, max_size=3), max_size=25), st.data())
@settings(max_examples=25, deadline=None)
def test_names_come_in_order_of_their_bytes_from_any_place_on(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[bytes]], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("root")
    make(root, safely(paths))
    gone: list[bytes] = []
    found = [path for path, *_ in walk.walk(bytes(root), gone.append)]
    there = {bytes(path)[len(bytes(root)) + 1 :] for path in root.rglob("*")}
    assert found == sorted(there)
    if found:
        at = data.draw(st.integers(0, len(found) - 1))
        assert [path for path, *_ in walk.walk(bytes(root), gone.append, found[at])] == found[at + 1 :]
    assert gone == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("a", "a-b", "b", "b/c"):
        (root / folder).mkdir(parents=True)
        for number in range(12):
            (root / folder / f"{number}\n").write_bytes(b"%d" % number)
    (root / "link").symlink_to("a")
    return root


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


@pytest.mark.parametrize("alone", [1, 2, 13, 14, 30, 53, 54, 2000])
def test_the_process_goes_on_where_it_was_called(root: Path, monkeypatch: pytest.MonkeyPatch, alone: int) -> None:
    go_alone(monkeypatch, alone)
    gone: list[bytes] = []
    found = [record for batch in walk_ahead.walk(bytes(root), gone.append) for record in batch]
    assert found == [records.record(*each) for each in walk.walk(bytes(root), gone.append)]
    assert len(found) == 53


def test_a_backup_by_two_processes_is_whole_and_the_second_looks_only(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_alone(monkeypatch, 5)
    os.link(root / "a/1\n", root / "b/name")
    settle()
    back_up(world, root, Kind.FULL)
    before = entries(world)
    again = back_up(world, root)
    assert (again.read, again.facts["unchanged"]) == (0, 49)
    assert entries(world) == before
    (root / "b/c/5\n").chmod(0o640)
    (root / "a-b/new").write_bytes(b"new")
    (root / "b/3\n").unlink()
    settle()
    back_up(world, root)
    assert world.restore() == read_tree(root)
    assert entries(world)[b"b/c/5\n"].mode == 0o640
    assert entries(world)[b"b/name"].link == entries(world)[b"a/1\n"].link != 0


def go_alone(monkeypatch: pytest.MonkeyPatch, names: int) -> None:
    """Let another process go on after so many names."""
    monkeypatch.setattr(walk_ahead, "_ALONE", names)
    monkeypatch.setattr(telling, "_BATCH", 1)


def replace_program(monkeypatch: pytest.MonkeyPatch, place: Path, first: str) -> None:
    """Let the process that walks ahead do something first."""
    home = Path(program.__file__).parents[3]
    place.write_text(
        f"import sys\nsys.path.insert(0, {str(home)!r})\n{first}\n"
        "from coffer.sources.walking.program import main\nmain()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(program, "__file__", str(place))


def refuse(path: bytes) -> object:
    raise PermissionError(13, "Permission denied", path)


@pytest.mark.parametrize("alone", [2, 2000])
def test_a_folder_that_may_not_be_read_makes_no_point(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    go_alone(monkeypatch, alone)
    refusal = "import os\ndef refuse(path): raise PermissionError(13, 'Permission denied', path)\nos.scandir = refuse"
    replace_program(monkeypatch, root.parent / "refusing.py", refusal)
    if alone != 2:
        monkeypatch.setattr(walk.os, "scandir", refuse)
    with pytest.raises(NotAllowed, match="folder may not be read"):
        FilesSource("files", root).capture(Sink(), Kind.FULL, None)  # type: ignore[arg-type]


class Sink:
    """Takes anything."""

    def __getattr__(self, name: str) -> object:
        return lambda *_args, **_options: None


@pytest.mark.parametrize(
    "last", ["raise SystemExit(3)", "sys.stdout.buffer.write(b'\\0\\0\\0\\x09abc'); raise SystemExit"]
)
def test_a_process_that_dies_makes_no_point(root: Path, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    go_alone(monkeypatch, 2)
    replace_program(monkeypatch, root.parent / "dying.py", f"{last}\nraise SystemExit(3)")
    with pytest.raises(OutsideSystemError, match="ended early"):
        FilesSource("files", root).capture(Sink(), Kind.FULL, None)  # type: ignore[arg-type]


def test_what_vanishes_from_the_process_is_noted(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_alone(monkeypatch, 2)
    meddling = f"""
import os, shutil
listed = os.scandir
def scandir(path):
    if isinstance(path, bytes) and path.endswith(b"/b/c/"):
        shutil.rmtree({str(root / "b/c")!r})
    return listed(path)
os.scandir = scandir
"""
    replace_program(monkeypatch, root.parent / "meddling.py", meddling)
    summary = back_up(world, root, Kind.FULL)
    assert "b/c" in notes(summary)
    assert set(world.restore()) - {b"b/c"} == set(read_tree(root))


def test_a_process_is_ended_when_nobody_reads_on() -> None:
    with processes.reading(["yes"]) as stream:
        assert stream.read(2) == b"y\n"
    assert stream.closed
