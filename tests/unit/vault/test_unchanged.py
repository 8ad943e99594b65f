"""A backup of what did not change: no name is looked at twice, nothing is opened, and the point is as whole as any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.errors import IntegrityError
from coffer.sources.files import FilesSource
from coffer.sources.walking import records, walk
from coffer.vault import looks, parent_tree
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.stores.file import FileStore
from coffer.vault.verification import verify_at_rest
from tests.unit.vault.making import World, read_tree
from tests.unit.vault.test_files_source import back_up, settle


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    (tmp_path / "store").mkdir()
    return World(tmp_path / "world", [FileStore(tmp_path / "store")])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tree has many parts."""
    monkeypatch.setattr(looks, "CUT_ONE_IN", 8)
    root = tmp_path / "root"
    for folder in ("a", "b", "c/d"):
        (root / folder).mkdir(parents=True)
        for number in range(40):
            (root / folder / f"{number}").write_bytes(b"%d" % number)
    settle()
    return root


def store(world: World) -> FileStore:
    mine = world.stores[0]
    assert isinstance(mine, FileStore)
    return mine


def is_whole(world: World, root: Path) -> bool:
    """Tell whether the newest point gives back what is there, and no store lacks anything."""
    target = world.folder / f"out-{len(list(world.folder.iterdir()))}"
    shutil.rmtree(target, ignore_errors=True)
    return world.restore(target.name) == read_tree(root) and not verify_at_rest(world.stores).problems


def objects(world: World) -> set[str]:
    return {info.name for info in store(world).list("") if info.name.startswith(("packs/", "trees/", "index/"))}


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by each subtree that a backup opens."""
    names: list[str] = []
    inner = parent_tree.trees.open_subtree

    def spy(keys: object, name: str, data: bytes, numbers: object) -> object:
        names.append(name)
        return inner(keys, name, data, numbers)  # type: ignore[arg-type]

    monkeypatch.setattr(parent_tree.trees, "open_subtree", spy)
    return names


def test_nothing_is_opened_and_the_point_needs_what_its_parent_needs(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = back_up(world, root, Kind.FULL)
    before = objects(world)
    names = opened(monkeypatch)
    again = back_up(world, root)
    third = back_up(world, root)
    assert names == []
    assert objects(world) == before
    assert (
        (again.files, again.size, again.read) == (third.files, third.size, third.read) == (first.files, first.size, 0)
    )
    assert again.facts["unchanged"] == 120
    assert is_whole(world, root)


def test_what_changed_is_read_and_only_its_parts_are_opened(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(world, root, Kind.FULL)
    back_up(world, root)
    (root / "b/7").write_bytes(b"changed")
    (root / "b/8").unlink()
    (root / "c/d/new").write_bytes(b"new")
    settle()
    assert back_up(world, root).facts["read"] == 2
    assert is_whole(world, root)
    names = opened(monkeypatch)
    assert back_up(world, root).read == 0
    assert names == []
    assert is_whole(world, root)


def test_a_subtree_that_rotted_is_found_though_nothing_changed(world: World, root: Path) -> None:
    back_up(world, root, Kind.FULL)
    name = next(name for name in sorted(objects(world)) if name.startswith("trees/"))
    path = store(world).root / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError):
        back_up(world, root)


def test_another_source_beside_it_makes_it_another_point(world: World, root: Path) -> None:
    back_up(world, root, Kind.FULL)

    def both() -> Point:
        with world.writer().begin_point(service="app", kind=Kind.INCREMENTAL, started=datetime.now(UTC)) as builder:
            builder.capture(FilesSource("files", root))
            builder.capture(FilesSource("more", root / "a"))
            return builder.commit({})

    assert [source.files for source in both().sources] == [124, 40]
    assert [source.files for source in both().sources] == [124, 40]
    back_up(world, root)
    assert is_whole(world, root)


@pytest.mark.parametrize("change", ["chmod", "utime", "longer", "renamed", "gone", "linked"])
def test_whatever_a_look_shows_changes_its_hash(root: Path, change: str) -> None:
    def hashed() -> bytes:
        return looks.hash_of([records.record(*each) for each in walk.walk(bytes(root), print)])

    file, before = root / "a/3", hashed()
    assert hashed() == before
    match change:
        case "chmod":
            file.chmod(0o604)
        case "utime":
            os.utime(file, ns=(1, 1))
        case "longer":
            file.write_bytes(b"longer")
        case "renamed":
            file.rename(file.with_name("3-"))
        case "gone":
            file.unlink()
        case "linked":
            os.link(file, file.with_name("name"))
    assert hashed() != before


def test_a_time_beyond_all_clocks_is_no_hash() -> None:
    assert looks.hash_of([(b"a", 0o100600, 0, 0, 1, 1 << 63, 1)]) == b""


def test_it_starts_without_numpy(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the command that is started cuts as it does everywhere
    back_up(world, root, Kind.FULL)
    words = ["backup", "--writer", str(world.folder / "writer"), "--store", store(world).url, "--service", "app"]
    script = (
        "import sys\nfrom coffer.commands.main import main\n"
        f"try:\n    main({[*words, '--source', f'files:{root}']!r})\n"
        "finally:\n    print(sorted({'numpy', 'psycopg', 'pydantic', 'boto3'}.intersection(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr
