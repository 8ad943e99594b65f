"""Page maps against the plainest model there is: a bytearray."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coffer.vault import extents

CHUNKS = [bytes(range(n, n + 64)) for n in range(0, 192, 16)]


def render(chosen: extents.Extents) -> bytes:
    parts = []
    for chunk, offset, length in chosen.tolist():
        parts.append(bytes(length) if chunk == extents.HOLE else CHUNKS[chunk][offset : offset + length])
    return b"".join(parts)


@st.composite
def pieces(draw: st.DrawFn, most: int = 6) -> extents.Extents:
    rows = draw(
        st.lists(
            st.tuples(st.integers(-1, len(CHUNKS) - 1), st.integers(0, 40), st.integers(1, 24)),
            min_size=0,
            max_size=most,
        )
    )
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    chunk = np.array([extents.HOLE if each < 0 else each for each in columns[0]], np.int64)
    offset = np.where(chunk == extents.HOLE, 0, np.array(columns[1], np.int64))
    return extents.build(chunk, offset, np.array(columns[2], np.int64))


@given(pieces(), st.integers(0, 200), st.data())
def test_overlay_is_what_a_bytearray_does(base: extents.Extents, file_size: int, data: st.DataObject) -> None:
    patches = data.draw(pieces(4))
    model = bytearray(render(base)[:file_size].ljust(file_size, b"\0"))
    starts, kept, at = [], [], 0
    for row in patches:
        at += data.draw(st.integers(0, 20))
        if at + int(row["length"]) > file_size:
            break
        starts.append(at)
        kept.append(row)
        at += int(row["length"])
    chosen = np.array(kept, extents.dtype()) if kept else extents.empty()
    for start, row in zip(starts, chosen, strict=True):
        piece = render(np.array([row], extents.dtype()))
        model[start : start + len(piece)] = piece
    result = extents.overlay(base, file_size, np.array(starts, np.int64), chosen)
    assert extents.size(result) == file_size
    assert render(result) == bytes(model)


@given(pieces(12))
def test_joining_changes_nothing_but_the_number(chosen: extents.Extents) -> None:
    joined = extents.join(chosen)
    assert render(joined) == render(chosen)
    assert len(joined) <= len(chosen)


def test_neighbours_become_one() -> None:
    cut = extents.build(np.array([3, 3, 3]), np.array([0, 10, 20]), np.array([10, 10, 10]))
    assert extents.join(cut).tolist() == [(3, 0, 30)]


def test_a_hole_of_many_gigabytes_keeps_its_size() -> None:
    size = 5 * (1 << 40) + 12345
    assert extents.size(extents.hole(size)) == size
    grown = extents.overlay(extents.empty(), size, np.empty(0, np.int64), extents.empty())
    assert extents.size(grown) == size
