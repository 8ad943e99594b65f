"""Packs of which little is used are retired: the next backup stores what lives in them anew, from the source."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coffer.sources.files import FilesSource
from coffer.vault.capture import Kind
from coffer.vault.chunk_index import PackRecord, row_type
from coffer.vault.packs import HEADER_SIZE
from coffer.vault.point_builder import SourceSummary
from coffer.vault.upkeep import chunks_to_renew, reads_too_much
from tests.unit.vault.making import Tree, World, read_tree
from tests.unit.vault.test_files_source import settle

MIB = 1 << 20


def rows(*chunks: tuple[int, int]) -> np.ndarray:
    """Return rows of (pack, size); ids count."""
    made = np.zeros(len(chunks), row_type())
    for number, (pack, size) in enumerate(chunks):
        made[number] = (np.frombuffer(bytes([number]) * 32, np.uint8), pack, 0, 0, size, size, 0)
    return made


def renewed(packs: list[int], chunks: list[tuple[int, int]], live: list[int]) -> list[int]:
    records = [PackRecord(str(size), size + HEADER_SIZE, b"", b"") for size in packs]
    ids = chunks_to_renew(records, rows(*chunks), np.array(live, np.int64))
    return [ids[at] for at in range(0, len(ids), 32)]


def test_what_lives_in_a_pack_under_thirty_percent_is_renewed() -> None:
    assert renewed([100, 100], [(0, 29), (1, 30)], [29, 30]) == [0]
    assert renewed([100], [(0, 15), (0, 15)], [15, 15]) == []
    assert renewed([], [], []) == []


def test_the_least_used_chunks_are_renewed_when_a_restore_reads_too_much() -> None:
    size = 40 * MIB
    chunks = [(0, size)] * 10
    assert renewed([400 * MIB], chunks, [size] * 10) == []
    assert renewed([400 * MIB], chunks, [size // 2, *[size] * 9]) == []  # 5 percent is allowed
    assert renewed([400 * MIB], chunks, [size // 8, size // 2, size // 4, *[size] * 7]) == [0, 2]
    assert not reads_too_much(31 * MIB, 0)
    assert reads_too_much(116 * MIB + 100 * MIB, 100 * MIB)


def back_up(world: World, root: Path) -> SourceSummary:
    with world.writer().begin_point(service="app", kind=Kind.INCREMENTAL, started=datetime.now(UTC)) as builder:
        summary = builder.capture(FilesSource("files", root))
        builder.commit({})
    return summary


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


def test_a_sparse_pack_is_left_by_the_backup_after_next(world: World, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "stays").write_bytes(os.urandom(700_000))
    (root / "small").write_bytes(b"small")
    (root / "goes").write_bytes(os.urandom(3 * MIB))
    settle()
    back_up(world, root)
    [old] = [name for name in world.memory.objects if name.startswith("packs/")]
    (root / "goes").unlink()
    assert back_up(world, root).read == 0
    assert back_up(world, root).read == 700_005
    assert world.restore() == read_tree(root)
    assert back_up(world, root).read == 0
    reader = world.reader()
    latest = reader.point("latest")
    del world.memory.objects[old]
    reader.restore(latest, "files", world.folder / "without-it")
    assert read_tree(world.folder / "without-it") == read_tree(root)


def test_a_source_that_cannot_read_again_does_a_full_when_a_restore_reads_too_much(world: World) -> None:
    pages = 6 * 1024
    first = os.urandom(pages * 8192)
    world.back_up(Tree({b"rel": first}))
    changed = [page for page in range(pages) if page % 128 != 0]
    world.back_up(Tree({b"rel": os.urandom(pages * 8192)}, pages={b"rel": changed}))
    point = world.back_up(Tree({b"rel": first}))
    assert point.sources[0].done is Kind.FULL
    assert world.back_up(Tree({b"rel": first}, same=frozenset([b"rel"]))).sources[0].done is Kind.INCREMENTAL
