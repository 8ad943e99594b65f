"""A restore over what stands there: whatever was in the folder, it ends as a restore into an empty one would."""

from __future__ import annotations

import os
import random
from pathlib import Path
from unittest.mock import ANY

import pytest

from coffer.errors import IntegrityError, Unreachable
from coffer.vault.points import Point
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.making import Tree, World

LARGE = random.Random(1).randbytes(3 << 20)
SMALL = {b"a/%d" % number: random.Random(number).randbytes(900) for number in range(30)}
SOLID = random.Random(2).randbytes(1 << 20)
HOLES = SOLID + bytes(2 << 20) + b"end"
PATCHED = [3, 130, 131]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def points(world: World) -> list[Point]:
    files = {b"large": LARGE, b"holes": SOLID, b"a/empty": b"", **SMALL}
    first = world.back_up(Tree(files, folders=[b"a", b"b"], links={b"link": b"a/1"}))
    patched = bytearray(LARGE)
    for page in PATCHED:
        patched[8192 * page : 8192 * page + 8192] = random.Random(page).randbytes(8192)
    same = frozenset(files) - {b"large", b"holes"}
    later = Tree(
        {**files, b"large": bytes(patched), b"holes": HOLES}, folders=[b"a", b"b"], links={b"link": b"a/1"},
        pages={b"large": PATCHED, b"holes": [384]}, same=same,
    )  # fmt: skip
    return [first, world.back_up(later)]


def look(folder: Path) -> dict[str, tuple[object, ...]]:
    seen: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        times = 0 if path.is_symlink() else status.st_mtime_ns
        seen[str(path.relative_to(folder))] = (status.st_mode, status.st_uid, status.st_nlink, times, content)
    return seen


def harm(folder: Path) -> None:
    """Do to a restored tree all that may have happened to one."""
    with (folder / "large").open("r+b") as stream:
        stream.seek(1_500_000)
        stream.write(b"other")
        stream.truncate((3 << 20) - 5)
    with (folder / "holes").open("r+b") as stream:
        stream.seek(2 << 20)
        stream.write(b"no hole")
    (folder / "a/1").write_bytes(b"shorter")
    (folder / "a/2").write_bytes(b"x" * 900)
    (folder / "a/3").unlink()
    (folder / "a/4").unlink()
    (folder / "a/4").symlink_to("/etc/passwd")
    (folder / "a/5").unlink()
    (folder / "a/5").mkdir(mode=0o500)
    os.link(folder / "a/6", folder / "twin")
    (folder / "a/7").chmod(0o777)
    os.utime(folder / "a/8", (1, 1))
    (folder / "link").unlink()
    (folder / "b").rmdir()
    (folder / "b").symlink_to(folder / "a")
    (folder / "strange/deep").mkdir(parents=True)
    (folder / "strange/deep/file").write_text("x")
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize("before", ["nothing", "the same", "the other point", "harm", "harm to the other point"])
def test_it_ends_as_a_restore_into_an_empty_folder_would(world: World, points: list[Point], before: str) -> None:
    for number, point in enumerate(points):
        reader, fresh, folder = world.reader(), world.folder / f"fresh-{number}", world.folder / f"delta-{number}"
        reader.restore(point, "files", fresh)
        if before != "nothing":
            reader.restore(points[1 - number] if "other" in before else point, "files", folder)
        if "harm" in before:
            harm(folder)
        summary = reader.restore(point, "files", folder, delta=True)
        assert look(folder) == look(fresh)
        assert (summary.files, summary.reused) == (33, summary.bytes if before == "the same" and not number else ANY)


def test_what_is_there_is_not_fetched(world: World, points: list[Point]) -> None:
    reader, folder = world.reader(), world.folder / "delta"
    reader.restore(points[0], "files", folder)
    told: list[tuple[int, int]] = []
    summary = reader.restore(points[0], "files", folder, delta=True, progress=lambda *each: told.append(each))
    assert summary.reused == summary.bytes
    assert told[-1] == (summary.bytes, summary.bytes)
    (folder / "a/1").write_bytes(b"other")
    assert reader.restore(points[0], "files", folder, delta=True).reused == summary.reused - 900


def test_pages_that_match_are_not_written(world: World, points: list[Point], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, folder = world.reader(), world.folder / "delta"
    reader.restore(points[0], "files", folder)
    written: list[int] = []
    pwrite = os.pwrite

    def counted(descriptor: int, data: memoryview, at: int) -> int:
        written.append(len(data))
        return pwrite(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", counted)
    reader.restore(points[1], "files", folder, delta=True)
    assert sum(written) == 8192 * len(PATCHED) + len(b"end")


def test_an_interrupted_one_is_run_again(world: World, points: list[Point]) -> None:
    folder, store = world.folder / "delta", world.stores[0]
    assert isinstance(store, MemoryStore)
    world.reader().restore(points[0], "files", folder)
    harm(folder)
    broken = world.reader()
    packs = {name: data for name, data in store.objects.items() if name.startswith("packs/")}
    for name in packs:
        del store.objects[name]
    with pytest.raises((IntegrityError, Unreachable)):
        broken.restore(points[1], "files", folder, delta=True)
    assert list(folder.glob(".coffer-unfinished-*"))
    store.objects.update(packs)
    world.reader().restore(points[1], "files", folder, delta=True)
    world.reader().restore(points[1], "files", world.folder / "fresh")
    assert look(folder) == look(world.folder / "fresh")
