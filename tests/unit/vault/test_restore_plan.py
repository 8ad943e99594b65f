"""Plans of reading: every byte of every file comes from one place, each chunk is read once, neighbours together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.vault import extents, restore_plan
from coffer.vault.chunk_index import PackRecord, row_type
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.trees import TreeEntry

SIZES = st.lists(st.integers(1, 5 << 20), min_size=1, max_size=30)


@st.composite
def tables(draw: st.DrawFn) -> ChunkTable:
    """Chunks in packs, with dead ones between; by id, which is no order of place."""
    packs, rows = [], []
    for number in range(draw(st.integers(1, 3))):
        offset = 116
        for size in draw(SIZES):
            if draw(st.booleans()):
                offset += draw(st.integers(0, 200_000))
            rows.append((number, offset, size))
            offset += size
        packs.append(PackRecord(f"packs/{number:02x}", offset, b"", b""))
    table = np.zeros(len(rows), row_type())
    ids = draw(st.permutations(range(len(rows))))
    for row, (pack, offset, size), place in zip(table, rows, ids, strict=True):
        row["id"] = np.frombuffer(place.to_bytes(32, "big"), np.uint8)
        row["pack"], row["offset"], row["sealed"], row["size"] = pack, offset, size, size
    return ChunkTable.of([(packs, table)])


@st.composite
def trees(draw: st.DrawFn, table: ChunkTable) -> list[TreeEntry]:
    files = []
    for number in range(draw(st.integers(0, 12))):
        parts = []
        for _ in range(draw(st.integers(0, 6))):
            chunk = draw(st.one_of(st.integers(0, len(table.rows) - 1), st.just(extents.HOLE)))
            size = 1 << 20 if chunk == extents.HOLE else int(table.rows["size"][chunk])
            offset = draw(st.integers(0, size - 1))
            parts.append((chunk, offset, draw(st.integers(1, size - offset))))
        data = b"".join(extents.single(*part) for part in parts)
        size = sum(length for _, _, length in parts)
        files.append(TreeEntry(b"%d" % number, 0, 0o600, 0, 0, 0, 0, size, b"", b"", 0, (), data))
    return files


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_a_plan_covers_every_file_and_reads_each_chunk_once(data: st.DataObject) -> None:
    table = data.draw(tables())
    files = data.draw(trees(table))
    fetches = list(restore_plan.fetches(restore_plan.pieces_of(files), table))

    chunks = [number for fetch in fetches for number, _ in fetch.chunks]
    assert len(chunks) == len(set(chunks))
    wanted = sum(int(table.rows["sealed"][number]) for number in chunks)
    assert sum(fetch.length for fetch in fetches) <= wanted + (len(chunks) - len(fetches)) * (64 << 10)
    written: list[list[tuple[int, int, int, int]]] = [[] for _ in files]
    for fetch in fetches:
        assert fetch.length <= restore_plan.MOST_AT_ONCE or len(fetch.chunks) == 1
        for number, pieces in fetch.chunks:
            place = table.place(number)
            assert place.pack == fetch.pack
            assert fetch.begin <= place.offset
            assert place.offset + place.sealed <= fetch.begin + fetch.length
            for chunk, offset, length, file, at in pieces.tolist():
                assert chunk == number
                written[file].append((at, chunk, offset, length))
    for entry, pieces_of_file in zip(files, written, strict=True):
        at, expected = 0, []
        for chunk, offset, length in extents.from_bytes(entry.extents).tolist():
            if chunk != extents.HOLE:
                expected.append((at, chunk, offset, length))
            at += length
        assert sorted(pieces_of_file) == expected


@settings(deadline=None)
@given(tables())
def test_a_table_finds_what_it_holds(table: ChunkTable) -> None:
    ids = [table.id(number) for number in range(len(table.rows))]
    assert [table.number(each) for each in ids] == list(range(len(ids)))
    assert table.numbers(b"".join(ids)).tolist() == list(range(len(ids)))


def test_of_two_places_of_a_chunk_the_later_index_counts() -> None:
    def segment(name: str, offset: int) -> tuple[list[PackRecord], restore_plan.Pieces]:
        rows = np.zeros(1, row_type())
        rows["offset"], rows["id"] = offset, 7
        return [PackRecord(name, 1000, b"", b"")], rows

    table = ChunkTable.of([segment("old", 116), segment("new", 500)])
    assert len(table.rows) == 1
    assert (table.place(0).pack.name, table.place(0).offset) == ("new", 500)
