"""INCREMENTAL files: what is read is what pg_combinebackup would make of them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import IntegrityError
from coffer.sources.postgres.incremental_file import MAGIC, page_content, pages_to_store, read_header
from coffer.sources.postgres.tar_stream import ByteStream
from coffer.vault.capture import PAGE_SIZE


def page(number: int, generation: int) -> bytes:
    return struct.pack("<II", number, generation) * (PAGE_SIZE // 8)


def incremental_file(blocks: list[int], truncation: int, generation: int = 2) -> bytes:
    header = struct.pack(f"<III{len(blocks)}I", MAGIC, len(blocks), truncation, *blocks)
    if blocks:
        header += bytes(-len(header) % PAGE_SIZE)
    return header + b"".join(page(block, generation) for block in blocks)


def combine(parent: bytes, blocks: list[int], truncation: int) -> bytes:
    """What PostgreSQL's reconstruct.c does, written the slow way."""
    length = max([truncation, *(block + 1 for block in blocks)])
    result = []
    for number in range(length):
        if number in blocks:
            result.append(page(number, 2))
        elif number < truncation and (number + 1) * PAGE_SIZE <= len(parent):
            result.append(parent[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])
        else:
            result.append(bytes(PAGE_SIZE))
    return b"".join(result)


def overlay(parent: bytes, size: int, pages: np.ndarray, content: bytes) -> bytes:
    """What a vault does with `add_pages`."""
    result = bytearray(parent[:size].ljust(size, b"\0"))
    for index, number in enumerate(pages.tolist()):
        result[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = content[index * PAGE_SIZE : (index + 1) * PAGE_SIZE]
    return bytes(result)


@settings(max_examples=60, deadline=None)
@given(
    parent_pages=st.integers(0, 12),
    blocks=st.sets(st.integers(0, 15)).map(sorted),
    truncation=st.integers(0, 14),
    cut=st.integers(1, 3 * PAGE_SIZE),
)
def test_overlay_equals_reconstruction(parent_pages: int, blocks: list[int], truncation: int, cut: int) -> None:
    parent = b"".join(page(number, 1) for number in range(parent_pages))
    file = incremental_file(blocks, truncation)
    stream = ByteStream(file[start : start + cut] for start in range(0, len(file), cut))
    header = read_header(stream, len(file))
    pages = pages_to_store(header, parent_pages)
    content = b"".join(page_content(header, pages, stream))
    assert len(content) == len(pages) * PAGE_SIZE
    assert bool(np.all(np.diff(pages.astype(np.int64)) > 0))
    assert overlay(parent, header.length * PAGE_SIZE, pages, content) == combine(parent, blocks, truncation)


@pytest.mark.parametrize(
    ("file", "size", "said"),
    [
        (struct.pack("<III", 0x1234, 0, 0), 12, "magic"),
        (struct.pack("<III", MAGIC, 1 << 20, 0), 12, "longer than a segment"),
        (incremental_file([3, 1], 4), 3 * PAGE_SIZE, "not in order"),
        (incremental_file([1], 4), 5 * PAGE_SIZE, "another length"),
        (incremental_file([1], 4)[:14], 2 * PAGE_SIZE, "too early"),
    ],
)
def test_damaged_headers_are_refused(file: bytes, size: int, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        read_header(ByteStream([file]), size)


def test_a_file_that_ends_within_a_page_is_refused() -> None:
    file = incremental_file([1, 2], 3)
    stream = ByteStream([file[:-10]])
    header = read_header(stream, len(file))
    with pytest.raises(IntegrityError, match="middle of a page"):
        list(page_content(header, pages_to_store(header, 3), stream))
