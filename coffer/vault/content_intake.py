"""What a file holds, on its way into chunks: cut, bundled where it is small, known where the parent has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from coffer.errors import UsageError
from coffer.vault import chunks, extents, splitting
from coffer.vault.capture import Buffer, Hole, Split
from coffer.vault.chunk_pipeline import Bundle, ChunkPipeline
from coffer.vault.index_keys import IndexKeys
from coffer.vault.parent_tree import ParentTree
from coffer.vault.rate_limit import RateLimit
from coffer.vault.splitting import ContentSplitter

_ZEROS = bytes(chunks.LARGEST_CHUNK)


class Content(NamedTuple):
    """What a file holds, as a tree says it: size, hash (or nothing), extents."""

    size: int
    hash: bytes
    extents: bytes


NOTHING = Content(0, b"", b"")


class ContentIntake:
    """Takes the content of one source's files."""

    def __init__(
        self,
        keys: IndexKeys,
        pipeline: ChunkPipeline,
        bundle: Bundle,
        parent: ParentTree | None,
        limit: RateLimit | None,
    ) -> None:
        self._keys = keys
        self._pipeline = pipeline
        self._bundle = bundle
        self._parent = parent
        self._limit = limit
        self._splitter = ContentSplitter(splitting.seed(keys.chunk_ids))

    def take(self, path: bytes, blocks: Iterable[Buffer | Hole], split: Split) -> Content:
        """Take a file's content: a list of one block is a whole small file, and the quickest way."""
        only = blocks[0] if type(blocks) is list and len(blocks) == 1 else None
        if only is not None and not isinstance(only, Hole) and 0 < len(only) <= chunks.SMALL_FILE:
            if self._limit is not None:
                self._limit.take(len(only))
            return self._whole(path, only)
        return self._split(path, blocks, split)

    def take_parts(self, size: int, read: Callable[[int, int], bytes]) -> Content:
        """Take a large file that is read in threads, a chunk each; its tail is bundled where it is small."""
        parts, offset = [], 0
        while size - offset > chunks.SMALL_FILE:
            length = min(chunks.CHUNK_SIZE, size - offset)
            number = self._pipeline.submit_read(lambda offset=offset, length=length: self._read(read, offset, length))  # type: ignore[misc]
            parts.append(extents.single(number, 0, length))
            offset += length
        if offset < size:
            data = self._read(read, offset, size - offset)
            parts.append(extents.single(*self._bundle.add(data), len(data)))
        return Content(size, b"", b"".join(parts))

    def _read(self, read: Callable[[int, int], bytes], offset: int, length: int) -> bytes:
        if self._limit is not None:
            self._limit.take(length)
        data = read(offset, length)
        if len(data) != length:
            raise UsageError("A source gave another amount than it was asked for", detail=f"{len(data)}, not {length}")
        return data

    def _split(self, path: bytes, blocks: Iterable[Buffer | Hole], split: Split) -> Content:
        size, parts, digest = 0, [], b""
        cut = self._splitter.split if split is Split.CONTENT else splitting.split_fixed
        for data in cut(self._limited(blocks)):
            if isinstance(data, Hole):
                parts.append(extents.hole(data.length).tobytes())
                size += data.length
                digest = b""
                continue
            if _is_zeros(data):
                parts.append(extents.single(extents.HOLE, 0, len(data)))
            elif len(data) > chunks.SMALL_FILE or (size and split is Split.CONTENT):
                parts.append(extents.single(self._pipeline.submit(data), 0, len(data)))
            elif size:  # the tail of a relation, which has no neighbour to be found by
                parts.append(extents.single(*self._bundle.add(data), len(data)))
            else:
                _, digest, part = self._whole(path, data)
                parts.append(part)
            digest = digest if len(parts) == 1 else b""
            size += len(data)
        return Content(size, digest, b"".join(parts))

    def _limited(self, blocks: Iterable[Buffer | Hole]) -> Iterable[Buffer | Hole]:
        for block in blocks:
            if self._limit is not None and not isinstance(block, Hole):
                self._limit.take(len(block))
            yield block

    def _whole(self, path: bytes, data: Buffer) -> Content:
        """Bundle a small file, unless the parent has the same at the same path."""
        digest = self._keys.chunk_id(data)
        before = self._parent.find(path) if self._parent else None
        if before is not None and before.hash == digest and before.size == len(data):
            return Content(before.size, digest, before.extents)
        return Content(len(data), digest, extents.single(*self._bundle.add(data), len(data)))


def _is_zeros(data: bytes) -> bool:
    return data[:64] == _ZEROS[: min(64, len(data))] and data == _ZEROS[: len(data)]
