"""Takes one source's tree into the vault: the sink that sources push into."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from coffer.errors import UsageError
from coffer.vault import chunks, extents, splitting
from coffer.vault.capture import PAGE_SIZE, Buffer, Entry, EntryType, Hole, Split
from coffer.vault.chunk_pipeline import Bundle, ChunkPipeline
from coffer.vault.index_keys import IndexKeys
from coffer.vault.tree_reading import ParentTree
from coffer.vault.trees import TreeEntry, type_number

_ZEROS = bytes(chunks.CHUNK_SIZE)


class TreeCapture:
    """Takes entries of one source; see `capture.SourceSink` for the methods' contract.

    Attributes:
        entries: What was taken, by path.
        read: Bytes of content that were handed over.
        parent: The same source in the parent point.
    """

    def __init__(self, keys: IndexKeys, pipeline: ChunkPipeline, bundle: Bundle, parent: ParentTree | None) -> None:
        self.entries: dict[bytes, TreeEntry] = {}
        self.read = 0
        self._keys = keys
        self._pipeline = pipeline
        self._bundle = bundle
        self.parent = parent

    def add(self, entry: Entry) -> None:
        """Add a directory or a symbolic link."""
        self._keep(entry, 0, b"", b"", 0)

    def add_file(
        self, entry: Entry, blocks: Iterable[Buffer | Hole], *, ctime_ns: int = 0, split: Split = Split.CONTENT
    ) -> None:
        """Add a file with all its content."""
        size, parts, digest = 0, [], b""
        for data in splitting.fixed(blocks):
            if isinstance(data, Hole):
                parts.append(extents.hole(data.length).tobytes())
                size += data.length
                continue
            if len(data) <= chunks.SMALL_FILE:  # a whole small file, or the tail of a large one
                digest = b"" if size else self._keys.chunk_id(data)
                parts.append(self._small(entry.path, data, digest))
            elif data == _ZEROS[: len(data)]:
                parts.append(extents.single(extents.HOLE, 0, len(data)))
            else:
                parts.append(extents.single(self._pipeline.submit(data), 0, len(data)))
            size += len(data)
        self.read += size
        self._keep(entry, size, digest, b"".join(parts), ctime_ns)

    def add_unchanged(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add a file whose content is what the parent has."""
        before = self._before(entry.path)
        self._keep(entry, before.size, before.hash, before.extents, ctime_ns)

    def add_pages(self, entry: Entry, size: int, pages: NDArray[np.uint32], content: Iterable[Buffer]) -> None:
        """Add a file that equals the parent's but for some pages."""
        before = self._before(entry.path)
        numbers = np.asarray(pages, np.int64)
        if numbers.size and (np.any(np.diff(numbers) <= 0) or int(numbers[-1]) * PAGE_SIZE >= size):
            raise UsageError("Pages must ascend and lie in the file", detail=repr(entry.path))
        starts, patches, taken = self._store_pages(numbers, content)
        if taken != numbers.size * PAGE_SIZE:
            raise UsageError("The pages' content has another size", detail=f"{entry.path!r}: {taken} bytes")
        patches = _clip(starts, patches, size)
        result = extents.overlay(extents.from_bytes(before.extents), size, starts, patches)
        self.read += taken
        self._keep(entry, size, b"", result.tobytes(), 0)

    def _store_pages(
        self, pages: NDArray[np.int64], content: Iterable[Buffer]
    ) -> tuple[NDArray[np.int64], extents.Extents, int]:
        """Bundle the pages; return where in the file each run of neighbours stands, and what stands there."""
        starts, patches, taken = [], [], 0
        for data in splitting.fixed(content):
            assert not isinstance(data, Hole)  # noqa: S101 - pages hold none
            mine = pages[taken // PAGE_SIZE : (taken + len(data)) // PAGE_SIZE]
            number, offset = self._bundle.add(data)
            first = np.flatnonzero(np.concatenate(([True], np.diff(mine) != 1))) if mine.size else mine
            lengths = np.diff(np.append(first, mine.size)) * PAGE_SIZE
            starts.append(mine[first] * PAGE_SIZE)
            patches.append(extents.build(np.full(first.size, number), offset + first * PAGE_SIZE, lengths))
            taken += len(data)
        if not starts:
            return np.empty(0, np.int64), extents.empty(), 0
        return np.concatenate(starts), np.concatenate(patches), taken

    def _small(self, path: bytes, data: bytes, digest: bytes) -> bytes:
        before = self.parent.entries.get(path) if self.parent else None
        if before is not None and digest and before.hash == digest and before.size == len(data):
            return before.extents
        return extents.single(*self._bundle.add(data), len(data))

    def _before(self, path: bytes) -> TreeEntry:
        before = self.parent.entries.get(path) if self.parent else None
        if before is None or before.type != type_number(EntryType.FILE):
            raise UsageError("The parent has no such file", detail=repr(path))
        return before

    def _keep(self, entry: Entry, size: int, digest: bytes, parts: bytes, ctime_ns: int) -> None:
        if entry.path in self.entries:
            raise UsageError("A source gave a path twice", detail=repr(entry.path))
        kept = TreeEntry(
            entry.path,
            type_number(entry.type),
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns,
            ctime_ns,
            size,
            entry.target,
            digest,
            entry.link,
            entry.xattrs,
            parts,
        )
        self.entries[entry.path] = kept


def _clip(starts: NDArray[np.int64], patches: extents.Extents, size: int) -> extents.Extents:
    """Cut the last patch at the file's end: a file need not end with a whole page."""
    if len(patches) and int(starts[-1]) + int(patches["length"][-1]) > size:
        patches = patches.copy()
        patches["length"][-1] = size - int(starts[-1])
    return patches
