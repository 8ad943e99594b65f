"""WAL arithmetic."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import IntegrityError, UsageError
from coffer.sources.postgres.wal import (
    Fork,
    Piece,
    Segment,
    covering,
    find_gaps,
    format_lsn,
    parse_history,
    parse_lsn,
    segments_between,
)

SIZES = st.sampled_from([1 << exponent for exponent in range(20, 31)])
TIMELINES = st.integers(1, 2**32 - 1)
POSITIONS = st.integers(0, 2**63 - 1)


@given(POSITIONS)
def test_lsn_round_trip(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@pytest.mark.parametrize("text", ["", "1", "0/", "/0", "0/123456789", "g/0", "0/0 OR 1"])
def test_what_is_no_lsn_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_lsn(text)


@given(TIMELINES, st.integers(0, 2**60), SIZES)
def test_segment_names_round_trip_and_hold_their_positions(timeline: int, position: int, size: int) -> None:
    segment = Segment.at(timeline, position, size)
    assert segment.start <= position < segment.end
    if segment.number // (2**32 // size) < 2**32:
        assert Segment.parse(segment.name, size) == segment
    assert segment.next().start == segment.end


def test_names_are_postgresql_s() -> None:
    assert Segment.at(1, parse_lsn("0/5000028")).name == "000000010000000000000005"
    assert Segment.at(2, parse_lsn("1/0")).name == "000000020000000100000000"
    assert Segment.parse("0000000100000000000000FF").next().name == "000000010000000100000000"


@pytest.mark.parametrize(
    ("start", "stop", "names"),
    [
        ("0/5000028", "0/5000120", ["5"]),
        ("0/5000028", "0/6000000", ["5"]),
        ("0/5000028", "0/6000001", ["5", "6"]),
        ("0/5000000", "0/5000000", ["5"]),
    ],
)
def test_segments_between(start: str, stop: str, names: list[str]) -> None:
    found = [segment.name for segment in segments_between(1, parse_lsn(start), parse_lsn(stop))]
    assert found == [f"0000000100000000{int(name, 16):08X}" for name in names]


@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 60)))
def test_gaps_are_what_is_missing_between_first_and_last(one: set[int], two: set[int]) -> None:
    names = [Segment(1, number).name for number in one] + [Segment(2, number).name for number in two]
    missing = {
        (gap.timeline, number)
        for gap in find_gaps([*names, "00000002.history", Piece(names[0], 0, 5).name])
        for number in range(Segment.parse(gap.first).number, Segment.parse(gap.last).number + 1)
    }
    expected = {(1, number) for number in range(min(one), max(one)) if number not in one}
    if two:
        expected |= {(2, number) for number in range(min(two), max(two)) if number not in two}
    assert missing == expected


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 15)), max_size=12))
def test_covering_pieces_reach_as_far_as_bytes_go(parts: list[tuple[int, int]]) -> None:
    segment = Segment(1, 5).name
    pieces = [Piece(segment, start, start + length) for start, length in parts]
    there = {byte for piece in pieces for byte in range(piece.start, piece.end)}
    reach = next(byte for byte in range(100) if byte not in there)
    chain = covering([piece.name for piece in pieces] + [Piece(Segment(1, 6).name, 0, 99).name], segment)
    assert (chain[-1].end if chain else 0) == reach
    assert all(after.start <= before.end < after.end for before, after in pairwise(chain))


@given(st.integers(0, 2**30), st.integers(0, 2**30))
def test_piece_names_round_trip(start: int, end: int) -> None:
    piece = Piece(Segment(1, 5).name, start, end)
    assert Piece.parse(piece.name) == piece


def test_history_files() -> None:
    content = b"1\t0/5000098\tno recovery target specified\n\n# words\n2\t1/20\tbefore 2026\n"
    assert parse_history(content) == [Fork(1, 0x5000098), Fork(2, 0x100000020)]
    with pytest.raises(IntegrityError):
        parse_history(b"1 nonsense\n")
