"""PostgreSQL's INCREMENTAL files: the changed pages of one relation segment.

Format (src/backend/backup/basebackup_incremental.c, PostgreSQL 17 and later), in the server's byte order: magic,
number of blocks, truncation block length, block numbers, each 32 bits; where there are blocks, zeros up to a
multiple of the page size, then the pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coffer.errors import IntegrityError
from coffer.sources.postgres.tar_stream import CONTENT_BLOCK, ByteStream
from coffer.vault.capture import PAGE_SIZE, Buffer

MAGIC = 0xD3AE1F0D
PREFIX = "INCREMENTAL."
_MAX_BLOCKS = 1024**3 // PAGE_SIZE
_MAX_RUN = CONTENT_BLOCK // PAGE_SIZE


@dataclass(frozen=True)
class IncrementalHeader:
    """What stands before the pages.

    Attributes:
        truncation: At and above this block nothing of the earlier file counts; also the least length of the result.
        blocks: Numbers of the pages that follow, ascending.
    """

    truncation: int
    blocks: NDArray[np.uint32]

    @property
    def length(self) -> int:
        """Pages of the reconstructed file."""
        return max(self.truncation, int(self.blocks[-1]) + 1 if len(self.blocks) else 0)


def read_header(stream: ByteStream, size: int) -> IncrementalHeader:
    """Read the header of an INCREMENTAL file and leave the stream at its first page.

    Args:
        stream: The file.
        size: Bytes of the whole file.

    Raises:
        IntegrityError: It is no INCREMENTAL file, or its numbers contradict each other.
    """
    magic, count, truncation = (int(value) for value in np.frombuffer(stream.exactly(12), dtype="<u4"))
    if magic != MAGIC:
        raise IntegrityError("an incremental file has another magic number", detail=f"{magic:08x}")
    if count > _MAX_BLOCKS or truncation > _MAX_BLOCKS:
        raise IntegrityError("an incremental file is longer than a segment", detail=f"{count} blocks, {truncation}")
    blocks = np.frombuffer(stream.exactly(4 * count), dtype="<u4").astype(np.uint32)
    if count > 1 and not bool(np.all(blocks[1:] > blocks[:-1])):
        raise IntegrityError("an incremental file's blocks are not in order")
    header = 12 + 4 * count
    padding = -header % PAGE_SIZE if count else 0
    stream.exactly(padding)
    if header + padding + count * PAGE_SIZE != size:
        raise IntegrityError("an incremental file has another length than its header says", detail=f"{size} bytes")
    return IncrementalHeader(truncation, blocks)


def pages_to_store(header: IncrementalHeader, parent_pages: int) -> NDArray[np.uint32]:
    """Return every page that differs from the parent: those sent, and those that a truncation emptied.

    A relation that was truncated and has grown again has zeros where the earlier file still has rows; they must
    be said, since an overlay keeps the parent's page wherever nothing is said.
    """
    emptied = np.arange(header.truncation, min(parent_pages, header.length), dtype=np.uint32)
    return np.union1d(header.blocks, emptied).astype(np.uint32)


def page_content(header: IncrementalHeader, pages: NDArray[np.uint32], stream: ByteStream) -> Iterator[Buffer]:
    """Yield the content of `pages` in order: from the stream where it was sent, zeros elsewhere."""
    sent = np.isin(pages, header.blocks, assume_unique=True)
    borders = np.flatnonzero(np.diff(sent)) + 1
    for run in np.split(sent, borders):
        size = len(run) * PAGE_SIZE
        if len(run) and run[0]:
            got = 0
            for block in stream.upto(size):
                got += len(block)
                yield block
            if got != size:
                raise IntegrityError("an incremental file ends in the middle of a page")
        else:
            for first in range(0, len(run), _MAX_RUN):
                yield bytes(min(_MAX_RUN, len(run) - first) * PAGE_SIZE)
