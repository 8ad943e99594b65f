"""Where content is cut into chunks, whatever the sizes of the blocks that it arrives in. The one place that decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coffer.vault.capture import Buffer, Hole
from coffer.vault.chunks import CHUNK_SIZE


def fixed(blocks: Iterable[Buffer | Hole]) -> Iterator[bytes | Hole]:
    """Cut content at every whole MiB of the file; a hole ends a chunk."""
    waiting = bytearray()
    at = 0
    for block in blocks:
        if isinstance(block, Hole):
            if waiting:
                yield bytes(waiting)
                waiting = bytearray()
            at += block.length
            yield block
            continue
        view = memoryview(block).cast("B")
        while view.nbytes:
            room = CHUNK_SIZE - at % CHUNK_SIZE
            if not waiting and view.nbytes >= room:
                yield bytes(view[:room])
            else:
                waiting += view[:room]
                if len(waiting) and (at + min(room, view.nbytes)) % CHUNK_SIZE == 0:
                    yield bytes(waiting)
                    waiting = bytearray()
            taken = min(room, view.nbytes)
            at += taken
            view = view[taken:]
    if waiting:
        yield bytes(waiting)
