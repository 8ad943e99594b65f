"""Where files are cut: the same whatever the blocks, near a change only, never within a hole."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.vault.capture import Hole
from coffer.vault.chunks import CHUNK_SIZE, LARGEST_CHUNK, SMALLEST_CHUNK
from coffer.vault.splitting import ContentSplitter, seed, split_fixed, split_pages

MIB = 1 << 20
NOISE = random.Random(4).randbytes(24 * MIB)
SPLITTER = ContentSplitter(seed(b"k" * 32))


def in_blocks(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = turn = 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        yield content[at : at + size]
        at, turn = at + size, turn + 1


def bytes_of(parts: list[bytes | Hole]) -> bytes:
    return b"".join(bytes(part.length) if isinstance(part, Hole) else part for part in parts)


def names(parts: list[bytes | Hole]) -> set[bytes]:
    return {hashlib.sha256(part).digest() for part in parts if not isinstance(part, Hole)}


BLOCK_SIZES = st.lists(st.integers(1000, 9 * MIB), min_size=1, max_size=4)


@given(BLOCK_SIZES, st.integers(0, 12 * MIB), st.integers(0, 12 * MIB))
@settings(max_examples=20, deadline=None)
def test_cuts_do_not_depend_on_blocks(sizes: list[int], begin: int, length: int) -> None:
    content = NOISE[begin : begin + length]
    parts = list(SPLITTER.split(in_blocks(content, sizes)))
    assert bytes_of(parts) == content
    assert parts == list(SPLITTER.split([content]))
    assert all(SMALLEST_CHUNK <= len(part) <= LARGEST_CHUNK for part in parts[:-1] if isinstance(part, bytes))


@given(st.integers(0, 300_000), st.binary(min_size=1, max_size=5000))
@settings(max_examples=10, deadline=None)
def test_an_insertion_near_the_front_leaves_most_chunks(place: int, added: bytes) -> None:
    before = names(list(SPLITTER.split([NOISE])))
    after = names(list(SPLITTER.split([NOISE[:place] + added + NOISE[place:]])))
    assert len(before - after) <= 3
    assert len(before) > 12


@pytest.mark.parametrize("split", [SPLITTER.split, split_fixed])
def test_a_hole_ends_a_chunk_and_stays_a_hole(split: object) -> None:
    blocks = [NOISE[:700_000], Hole(5 << 30), NOISE[: 3 * MIB], Hole(1)]
    parts = list(split(iter(blocks)))  # type: ignore[operator]
    assert [part for part in parts if isinstance(part, Hole)] == [Hole(5 << 30), Hole(1)]
    at = parts.index(Hole(5 << 30))
    assert bytes_of(parts[:at]) == NOISE[:700_000]
    assert bytes_of(parts[at + 1 : -1]) == NOISE[: 3 * MIB]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * MIB)), max_size=5), BLOCK_SIZES)
@settings(max_examples=20, deadline=None)
def test_long_zeros_become_holes_and_nothing_is_lost(runs: list[tuple[bool, int]], sizes: list[int]) -> None:
    content = b"".join(bytes(size) if zero else NOISE[:size] for zero, size in runs)
    parts = list(SPLITTER.split(in_blocks(content, sizes)))
    assert bytes_of(parts) == content
    if not content.strip(b"\0"):
        assert all(isinstance(part, Hole) for part in parts)


@given(BLOCK_SIZES, st.integers(0, 5 * MIB), st.integers(0, 3 * MIB))
@settings(max_examples=20, deadline=None)
def test_fixed_cuts_are_at_every_mebibyte_of_the_file(sizes: list[int], length: int, hole: int) -> None:
    content = NOISE[:length]
    parts = list(split_fixed([Hole(hole), *in_blocks(content, sizes)]))
    assert bytes_of(parts[1:]) == content
    at = hole
    for part in parts[1:-1]:
        assert isinstance(part, bytes)
        at += len(part)
        assert at % CHUNK_SIZE == 0
    assert b"".join(split_pages(in_blocks(content, sizes))) == content


def test_another_secret_cuts_elsewhere() -> None:
    other = ContentSplitter(seed(b"x" * 32))
    assert not names(list(other.split([NOISE]))) & names(list(SPLITTER.split([NOISE])))


def test_a_splitter_left_in_the_middle_begins_anew() -> None:
    next(SPLITTER.split([NOISE]))
    assert bytes_of(list(SPLITTER.split([b"small"]))) == b"small"
