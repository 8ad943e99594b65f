"""What a restore leaves on disk: links, holes, owners, attributes, times, names of any bytes; and what it refuses."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from coffer.errors import IntegrityError, StoreFull, UnsafeTarget
from coffer.vault import extents, restore_survey, restoring, trees
from coffer.vault.capture import Buffer, Entry, EntryType, Fact, Hole, Kind, Parent, SourceSink
from coffer.vault.target_folder import TargetFolder
from coffer.vault.trees import TreeEntry
from tests.unit.vault.making import Tree, World

NAMES = [b"new\nline", b"\xff\xfe not UTF-8", b"x" * 255, b"-rf", b" ", b"~", b"\x01\x7f", b"a-b", b"a.b"]
MOMENT = 1_600_000_000_123_456_789


@dataclass
class Entries:
    """A source made of entries and, for files, their blocks."""

    listed: Sequence[tuple[Entry, Sequence[Buffer | Hole]]]
    name: str = "files"
    kind: str = "files"

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        for entry, blocks in self.listed:
            if entry.type is EntryType.FILE:
                sink.add_file(entry, blocks)
            else:
                sink.add(entry)
        return {}


def file(path: bytes, content: bytes = b"", **more: object) -> tuple[Entry, Sequence[Buffer | Hole]]:
    fields: dict[str, object] = {"mode": 0o640, "uid": os.geteuid(), "gid": os.getegid(), **more}
    return Entry(path, **fields), [content]  # type: ignore[arg-type]


def folder(path: bytes, **more: object) -> tuple[Entry, Sequence[Buffer | Hole]]:
    return file(path, type=EntryType.DIRECTORY, **{"mode": 0o750, **more})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def back_up(world: World, *listed: tuple[Entry, Sequence[Buffer | Hole]]) -> None:
    world.back_up(Entries(listed))  # type: ignore[arg-type]


def restore(world: World, include: Callable[[bytes], bool] | None = None) -> tuple[Path, tuple[str, ...]]:
    reader, target = world.reader(), world.folder / "out"
    summary = reader.restore(reader.point("latest"), "files", target, include=include)
    return target, summary.notes


def test_names_of_one_file_are_one_file_again(world: World) -> None:
    content = os.urandom(3 << 20)
    back_up(world, file(b"a/one", content, link=7), file(b"b/two", content, link=7), file(b"c", b"other", link=9))
    target, _ = restore(world)
    assert (target / "a/one").stat().st_ino == (target / "b/two").stat().st_ino
    assert (target / "b/two").read_bytes() == content
    assert (target / "c").stat().st_nlink == 1


def test_any_name_of_a_file_can_be_restored_alone(world: World) -> None:
    back_up(world, file(b"a/one", b"same", link=7), file(b"b/two", b"same", link=7))
    target, _ = restore(world, lambda path: path == b"b/two")
    assert (target / "b/two").read_bytes() == b"same"
    assert not (target / "a").exists()


def test_two_files_under_one_number_are_two_files(world: World) -> None:
    """While the tree was read, the first one went, and the second one came under its number."""
    back_up(world, file(b"a", b"first", link=7), file(b"b", b"other", link=7), file(b"c", b"other", link=7))
    target, _ = restore(world)
    assert [(target / name).read_bytes() for name in "abc"] == [b"first", b"other", b"other"]
    assert (target / "b").stat().st_nlink == 2


def test_holes_stay_holes(world: World) -> None:
    entry, _ = file(b"sparse")
    data = os.urandom(1 << 20)
    only_hole, _ = file(b"nothing")
    back_up(world, (only_hole, [Hole(1 << 30)]), (entry, [Hole(3 << 30), data, Hole(1 << 30), b"end"]))
    target, _ = restore(world)
    status = (target / "sparse").stat()
    assert status.st_size == (4 << 30) + (1 << 20) + 3
    assert status.st_blocks * 512 < 4 << 20
    with (target / "sparse").open("rb") as stream:
        stream.seek(3 << 30)
        assert stream.read(1 << 20) == data
        stream.seek(-4, os.SEEK_END)
        assert stream.read() == b"\0end"
    assert (target / "nothing").stat().st_size == 1 << 30
    assert (target / "nothing").stat().st_blocks * 512 < 1 << 20


def test_attributes_come_back(world: World) -> None:
    attributes = ((b"user.colour", b"blue\0"), (b"user.empty", b""))
    back_up(world, folder(b"d", xattrs=attributes), file(b"d/f", b"1", xattrs=attributes))
    target, notes = restore(world)
    assert notes == ()
    for path in (target / "d", target / "d/f"):
        assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == {
            "user.colour": b"blue\0",
            "user.empty": b"",
        }


def test_what_may_not_be_set_is_noted_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    back_up(world, *(file(b"f%d" % n, b"1", uid=12345, mode=0o6755, xattrs=((b"trusted.x", b"1"),)) for n in range(3)))
    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    target, notes = restore(world)
    assert sorted(note.split(" could")[0] for note in notes) == ["some extended attributes trusted.*", "some owners"]
    # A file that runs as its owner must not run as whoever restored it.
    assert stat.S_IMODE((target / "f0").stat().st_mode) == 0o755


def test_owners_modes_and_times_are_what_they_were(world: World) -> None:
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    back_up(
        world,
        folder(b"d", mode=0o2555, mtime_ns=MOMENT, uid=owner),
        file(b"d/program", b"#!", mode=0o4751, mtime_ns=MOMENT + 1, uid=owner),
        file(b"d/large", os.urandom(2 << 20), mode=0o444, mtime_ns=MOMENT + 2),
        file(b"d/empty", mode=0o000, mtime_ns=MOMENT + 3),
        (Entry(b"d/link", EntryType.SYMLINK, 0o777, owner, os.getegid(), MOMENT + 4, b"../nowhere"), []),
    )
    target, notes = restore(world)
    assert notes == ()
    found = {path.name: path.lstat() for path in (target / "d", *(target / "d").iterdir())}
    assert {name: each.st_mtime_ns - MOMENT for name, each in found.items()} == {
        "d": 0,
        "program": 1,
        "large": 2,
        "empty": 3,
        "link": 4,
    }
    modes = {name: stat.S_IMODE(each.st_mode) for name, each in found.items() if name != "link"}
    assert modes == {"d": 0o2555, "program": 0o4751, "large": 0o444, "empty": 0o000}
    assert {found[name].st_uid for name in ("d", "program", "link")} == {owner}
    assert str((target / "d/link").readlink()) == "../nowhere"


def test_names_of_any_bytes(world: World) -> None:
    deep = b"/".join([b"d" * 200] * 30)  # longer than a path may be in one call
    back_up(world, *(file(name, name) for name in NAMES), file(deep + b"/f", b"deep"))
    target, _ = restore(world)
    assert {name: (target / os.fsdecode(name)).read_bytes() for name in NAMES} == {name: name for name in NAMES}
    descriptor = os.open(target, os.O_RDONLY)
    for part in deep.split(b"/"):
        descriptor, before = os.open(part, os.O_RDONLY, dir_fd=descriptor), descriptor
        os.close(before)
    assert os.listdir(descriptor) == ["f"]  # noqa: PTH208 - by descriptor
    os.close(descriptor)


def test_a_part_of_a_tree_keeps_what_its_folders_were(world: World) -> None:
    back_up(
        world, folder(b"a", mtime_ns=MOMENT, mode=0o711), folder(b"a/b", mode=0o700), file(b"a/b/f", b"1"), file(b"c")
    )
    target, _ = restore(world, lambda path: path == b"a/b/f")
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "f"]
    assert (target / "a").stat().st_mtime_ns == MOMENT
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o711


HOSTILE: dict[str, Callable[[list[TreeEntry]], Iterable[TreeEntry]]] = {
    "a link and something below it": lambda found: [_link(found[0], b"a"), *found[1:]],
    "a file and something below it": lambda found: [_renamed(found[1], b"a"), *found[1:]],
    "a name twice": lambda found: [*found, _renamed(found[-1], found[-1].path)],
    "out of order": lambda found: [found[0], *reversed(found[1:])],
    "up and out": lambda found: [_renamed(found[1], b"../../etc/passwd"), *found],
    "absolute": lambda found: [_renamed(found[1], b"/etc/passwd"), *found],
    "a NUL": lambda found: [*found, _renamed(found[1], b"z\0")],
    "beyond its chunk": lambda found: [*found[:-1], _longer(found[-1])],
    "another type": lambda found: [*found[:-1], _replaced(found[-1], type=3)],
}


def _replaced(entry: TreeEntry, **fields: object) -> TreeEntry:
    values = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return TreeEntry(**{**values, **fields})  # type: ignore[arg-type]


def _renamed(entry: TreeEntry, path: bytes) -> TreeEntry:
    return _replaced(entry, path=path)


def _link(entry: TreeEntry, path: bytes) -> TreeEntry:
    return _replaced(entry, path=path, type=2, target=b"/etc", size=0, extents=b"")


def _longer(entry: TreeEntry) -> TreeEntry:
    chunk, offset, length = extents.from_bytes(entry.extents)[0].item()
    return _replaced(entry, size=length + 1, extents=extents.single(chunk, offset, length + 1))


@pytest.mark.parametrize("harm", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_tree_is_refused_before_anything_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, harm: Callable[[list[TreeEntry]], Iterable[TreeEntry]]
) -> None:
    """A writer's host that was taken over signs what it likes."""
    sealed = trees.seal

    def seal(keys: object, entries: Sequence[TreeEntry], *more: object, **named: object) -> tuple[bytes, str, bytes]:
        return sealed(keys, list(harm(list(entries))), *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(trees, "seal", seal)
    back_up(world, folder(b"a"), file(b"a-b", b"1"), file(b"a/c", b"22"), file(b"a/d", b"333"))
    monkeypatch.undo()
    reader = world.reader()
    with pytest.raises(IntegrityError):
        reader.restore(reader.point("latest"), "files", world.folder / "out")
    assert not (world.folder / "out").exists()
    assert not reader.verify().ok


def test_a_link_that_somebody_plants_meanwhile_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    target = TargetFolder(tmp_path / "out", "a test")
    target.make_folders({b"a/b"})
    target.forget_thread()
    (tmp_path / "out/a/b").rmdir()
    (tmp_path / "out/a/b").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        target.create(b"a/b/file", 0o600)
    (tmp_path / "out/a/file").symlink_to(tmp_path / "victim/file")
    with pytest.raises(OSError, match="exists"):
        target.create(b"a/file", 0o600)
    with pytest.raises(OSError, match="symbolic links"):
        target.reopen(b"a/file")
    target.close()
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_restore_that_failed_says_so_to_whoever_comes_next(world: World) -> None:
    back_up(world, file(b"a", os.urandom(300_000)))
    pack = next(name for name in world.memory.objects if name.startswith("packs/"))
    good = world.memory.objects[pack]
    world.memory.objects[pack] = good[:1000] + b"rot" + good[1003:]
    with pytest.raises(IntegrityError):
        restore(world)
    world.memory.objects[pack] = good
    with pytest.raises(UnsafeTarget, match=r"did not finish.*files of point .* of app.*remove the folder"):
        restore(world)


def test_nothing_of_ours_is_left_in_the_target(world: World) -> None:
    back_up(world, file(b"a", b"1"))
    target, _ = restore(world)
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_full_disk_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    back_up(world, file(b"a", b"1"))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreFull, match=r"The disk is full.*out: No space left"):
        restore(world)


@pytest.mark.parametrize("place", ["/proc/self/nothing", "file/below"])
def test_a_target_that_cannot_be_made_is_said(world: World, place: str) -> None:
    back_up(world, file(b"a", b"1"))
    (world.folder / "file").touch()
    reader = world.reader()
    with pytest.raises(UnsafeTarget, match="The target"):
        reader.restore(reader.point("latest"), "files", world.folder / place)


@pytest.mark.parametrize("kept", [0, 700, 1500])
def test_a_tree_too_large_to_be_kept_is_read_twice(world: World, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(restore_survey, "_KEPT", kept)
    monkeypatch.setattr(restoring, "_WINDOW", 300)
    files = {b"%04d/%d" % (n % 50, n): b"%d" % n for n in range(2000)}
    world.back_up(Tree(files))
    assert len(list(world.stores[0].list("trees/"))) > 2
    assert world.restore() == files


def test_more_files_than_may_be_open(world: World) -> None:
    """Every file is made of pages of two points, so that its parts come from two packs, far apart."""
    files = {b"%04d" % n: os.urandom(8192 * 4) for n in range(140)}
    world.back_up(Tree(files), kind=Kind.FULL)
    changed = {name: content[:8192] + os.urandom(8192) + content[16384:] for name, content in files.items()}
    world.back_up(Tree(changed, pages={name: [1] for name in files}))
    assert world.restore() == changed
