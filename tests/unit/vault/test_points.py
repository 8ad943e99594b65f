from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coffer.errors import NotThere, RefusedByPolicy, UnsafeTarget, UsageError
from coffer.vault.capture import Kind
from tests.unit.vault.making import Tree, World

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(files=st.dictionaries(NAMES, st.binary(max_size=300), max_size=6))
def test_any_names_and_contents_come_back(files: dict[bytes, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    world.back_up(Tree(files), kind=Kind.FULL)
    assert world.restore() == files


@SLOW
@given(
    changes=st.lists(
        st.tuples(st.integers(1, 9), st.sets(st.integers(0, 8), max_size=5), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_overlays_upon_overlays_are_what_a_bytearray_does(
    changes: list[tuple[int, set[int], int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    model = bytearray(os.urandom(5 * 8192))
    world.back_up(Tree({b"rel": bytes(model)}), kind=Kind.FULL)
    for length, pages, fill in changes:
        model = bytearray(model[: length * 8192].ljust(length * 8192, b"\0"))
        inside = sorted(page for page in pages if page < length)
        for page in inside:
            model[page * 8192 : page * 8192 + 8192] = bytes([fill]) * 8192
        world.back_up(Tree({b"rel": bytes(model)}, pages={b"rel": inside}))
    reader = world.reader()
    assert reader.read_file(reader.point("latest"), "files", b"rel") == bytes(model)
    assert reader.verify().ok


def test_large_files_holes_links_and_folders_come_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    files = {
        b"large": os.urandom(5_000_001),
        b"dir/small": b"x",
        b"dir/empty": b"",
        b"sparse": bytes(3 << 20) + b"end",
        b"text": b"the same line again\n" * 200_000,
    }
    world.back_up(Tree(files, folders=[b"dir", b"dir/none"], links={b"link": b"/etc/passwd"}, block=70_001))
    assert world.restore() == files
    assert (tmp_path / "out/link").readlink() == Path("/etc/passwd")
    assert (tmp_path / "out/dir/none").is_dir()
    assert (tmp_path / "out/sparse").stat().st_blocks * 512 < 1 << 20
    assert (tmp_path / "out/dir/small").stat().st_mode & 0o777 == 0o640


def test_an_incremental_adds_what_changed_and_is_complete(tmp_path: Path) -> None:
    world = World(tmp_path)
    files = {b"%04d" % number: os.urandom(3000) for number in range(200)} | {b"big": os.urandom(4 << 20)}
    first = world.back_up(Tree(files), kind=Kind.FULL)
    before = sum(map(len, world.memory.objects.values()))
    files[b"0007"] = b"new"
    del files[b"0008"]
    unchanged = frozenset(files) - {b"0007"}
    second = world.back_up(Tree(files, same=unchanged))
    assert sum(map(len, world.memory.objects.values())) - before < 100_000
    assert second.parent == first.name
    assert second.stored < 100
    assert world.restore() == files
    assert world.restore("first", point=first.name)[b"0008"]


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    content = os.urandom(3 << 20)
    world.back_up(Tree({b"a": content, b"b": content}), kind=Kind.FULL)
    world.back_up(Tree({b"a": content, b"c": content}), kind=Kind.FULL)
    assert sum(len(data) for name, data in world.memory.objects.items() if name.startswith("packs/")) < 3.1 * (1 << 20)


def test_a_differential_compares_with_the_last_full(tmp_path: Path) -> None:
    world = World(tmp_path)
    full = world.back_up(Tree({b"a": b"1"}), kind=Kind.FULL)
    world.back_up(Tree({b"a": b"2"}))
    assert world.back_up(Tree({b"a": b"3"}), kind=Kind.DIFFERENTIAL).parent == full.name
    assert world.restore() == {b"a": b"3"}


def test_several_sources_keep_apart(tmp_path: Path) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}, facts={"lsn": "0/1"}), Tree({b"a": b"2"}, name="other"))
    reader = world.reader()
    assert [source.name for source in point.sources] == ["files", "other"]
    assert reader.read_file(point, "other", b"a") == b"2"
    assert reader.facts(point, "files") == {"lsn": "0/1"}
    with pytest.raises(NotThere):
        reader.facts(point, "third")


def test_the_same_request_finds_the_point_it_made(tmp_path: Path) -> None:
    world = World(tmp_path)
    names = []
    for _ in range(2):
        request = {"service": "app", "kind": Kind.FULL, "started": datetime.now(UTC), "point_id_seed": "run-7"}
        with world.writer().begin_point(**request) as builder:  # type: ignore[arg-type]
            builder.capture(Tree({b"a": b"1"}))
            names.append(builder.commit({}).name)
    assert names[0] == names[1]
    assert len(world.writer().points()) == 1


def test_leaving_with_an_error_leaves_no_point(tmp_path: Path) -> None:
    world = World(tmp_path)

    def take() -> None:
        with world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
            builder.capture(Tree({b"a": os.urandom(2 << 20)}))
            raise RuntimeError("the source fell over")

    with pytest.raises(RuntimeError):
        take()
    assert world.writer().points() == []


def test_a_clock_that_runs_behind_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    with pytest.raises(RefusedByPolicy, match="clock"):
        world.writer().begin_point(service="app", kind=Kind.FULL, started=datetime.now(UTC) - timedelta(hours=1))


def test_a_source_that_asks_for_what_the_parent_lacks_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(UsageError, match="parent"):
        world.back_up(Tree({b"a": b"1"}, same=frozenset([b"a"])))


def test_a_target_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("keep")
    with pytest.raises(UnsafeTarget):
        world.restore()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_only_what_is_asked_for_and_the_last_names_last(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"global/pg_control": b"c", b"base/1": b"1", b"base/2": b"2"}))
    reader = world.reader()
    seen: list[int] = []
    summary = reader.restore(
        reader.point("latest"),
        "files",
        tmp_path / "out",
        include=lambda path: path != b"base/2",
        last=[b"global/pg_control"],
        progress=lambda done, _: seen.append(done),
    )
    assert summary.files == 2
    assert seen[-1] == summary.bytes == 2
    assert sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    ) == [
        "base/1",
        "global/pg_control",
    ]


def test_many_points_fold_their_indexes(tmp_path: Path) -> None:
    world = World(tmp_path)
    files: dict[bytes, bytes] = {}
    for number in range(20):
        files[b"%d" % number] = os.urandom(200)
        world.back_up(Tree(files, same=frozenset(files) - {b"%d" % number} if number else frozenset()))
    assert world.restore() == files
    assert world.reader().verify().ok
