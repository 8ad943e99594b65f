"""Where content is cut into chunks, whatever the sizes of the blocks that it arrives in.

The one place that decides. A reader needs to know nothing of it; a writer that changes it finds less of what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyfastcdc import FastCDC

from coffer.keys import sealing
from coffer.vault.capture import Buffer, Hole
from coffer.vault.chunks import CHUNK_SIZE, LARGEST_CHUNK, SMALLEST_CHUNK

_LEAST_HOLE = 64 << 10


def seed(secret: bytes) -> int:
    """Return a seed for a vault's cuts, below 2**63, from a secret that all its writers have."""
    return int.from_bytes(sealing.derive(secret, "cuts", b"")[:8], "big") >> 1


class ContentSplitter:
    """FastCDC (Xia et al. 2020, two bytes a round, normalization 1): cuts where the content says so.

    Args:
        seed: Changes the gear table, so that cuts tell a stranger less about the content; below 2**63.
    """

    def __init__(self, seed: int) -> None:
        self._cutter = FastCDC(CHUNK_SIZE, min_size=SMALLEST_CHUNK, max_size=LARGEST_CHUNK, seed=seed)
        self._room = memoryview(bytearray(2 * LARGEST_CHUNK))
        self._begin = self._end = 0

    def split(self, blocks: Iterable[Buffer | Hole]) -> Iterator[bytes | Hole]:
        """Cut one file's content; a hole ends a chunk. One file at a time."""
        self._begin = self._end = 0
        for block in blocks:
            if isinstance(block, Hole):
                yield from self._cut(1)
                yield block
                continue
            view = memoryview(block).cast("B")
            while view.nbytes:
                view = view[self._take_in(view) :]
                yield from self._cut(LARGEST_CHUNK)  # with less in hand, more content might move the cut
        yield from self._cut(1)

    def _take_in(self, view: memoryview) -> int:
        if self._end == self._room.nbytes:
            waiting = self._end - self._begin
            self._room[:waiting] = self._room[self._begin : self._end]
            self._begin, self._end = 0, waiting
        taken = min(view.nbytes, self._room.nbytes - self._end)
        self._room[self._end : self._end + taken] = view[:taken]
        self._end += taken
        return taken

    def _cut(self, least: int) -> Iterator[bytes | Hole]:
        """Take chunks off the front while so many bytes wait."""
        while self._end - self._begin >= least:
            chunk = next(self._cutter.cut_buf(self._room[self._begin : self._end]))
            self._begin += chunk.length
            yield from _without_zeros(bytes(chunk.data))


def _without_zeros(data: bytes) -> Iterator[bytes | Hole]:
    """Turn long runs of zeros at a chunk's ends into holes. Zeros cause no cut, so the longest runs end at one."""
    body = data.lstrip(b"\0")
    front = len(data) - len(body)
    if body and front < _LEAST_HOLE:
        body, front = data, 0
    kept = body.rstrip(b"\0")
    back = len(body) - len(kept)
    if back < _LEAST_HOLE:
        kept, back = body, 0
    if front:
        yield Hole(front)
    if kept:
        yield kept
    if back:
        yield Hole(back)


def split_fixed(blocks: Iterable[Buffer | Hole]) -> Iterator[bytes | Hole]:
    """Cut content at every whole MiB of the file; a hole ends a chunk."""
    waiting = bytearray()
    at = 0
    for block in blocks:
        if isinstance(block, Hole):
            if waiting:
                yield _take(waiting)
            at += block.length
            yield block
            continue
        view = memoryview(block).cast("B")
        while view.nbytes:
            piece, view = _up_to_cut(view, at)
            at += piece.nbytes
            if not waiting and at % CHUNK_SIZE == 0:
                yield bytes(piece)  # a block that is a chunk is copied once
                continue
            waiting += piece
            if at % CHUNK_SIZE == 0:
                yield _take(waiting)
    if waiting:
        yield _take(waiting)


def split_pages(blocks: Iterable[Buffer]) -> Iterator[bytes]:
    """Cut pages that stand in no file: chunks of a MiB."""
    for data in split_fixed(blocks):
        if not isinstance(data, Hole):
            yield data


def _up_to_cut(view: memoryview, at: int) -> tuple[memoryview, memoryview]:
    room = CHUNK_SIZE - at % CHUNK_SIZE
    return view[:room], view[room:]


def _take(waiting: bytearray) -> bytes:
    data = bytes(waiting)
    waiting.clear()
    return data
