"""Takes one source's tree into the vault: the sink that sources push into."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore

import numpy as np
from numpy.typing import NDArray

from coffer.errors import UsageError
from coffer.vault import chunks, extents
from coffer.vault.capture import PAGE_SIZE, Buffer, Entry, EntryType
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.index_keys import IndexKeys
from coffer.vault.packs import PackWriter
from coffer.vault.tree_reading import ParentTree
from coffer.vault.trees import TreeEntry, type_number

_WORKERS = 2
_IN_WORK = 8
_ZEROS = bytes(chunks.CHUNK_SIZE)


class ChunkPipeline:
    """Hashes, compresses and seals chunks in threads; what is in work is bounded."""

    def __init__(self, packer: PackWriter, numbers: ChunkNumbers) -> None:
        self.numbers = numbers
        self._packer = packer
        self._pool = ThreadPoolExecutor(_WORKERS, "coffer-seal")
        self._room = BoundedSemaphore(_IN_WORK)
        self._failure: BaseException | None = None

    def submit(self, data: bytes) -> int:
        """Hand over a chunk; returns the number by which the run speaks of it."""
        number = self.numbers.reserve()
        self.submit_as(number, data)
        return number

    def submit_as(self, number: int, data: bytes) -> None:
        """Hand over a chunk whose number was reserved before."""
        self.check()
        self._room.acquire()
        self._pool.submit(self._store, number, data).add_done_callback(self._done)

    def check(self) -> None:
        """Raise what a thread met."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait for all that was handed over; then every number is settled and every pack emitted."""
        self._pool.shutdown(wait=True)
        self.check()
        self._packer.finish()

    def abandon(self) -> None:
        """End the threads without finishing packs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _store(self, number: int, data: bytes) -> None:
        self.numbers.settle(number, self._packer.store(data))

    def _done(self, future: Future[None]) -> None:
        self._room.release()
        if not future.cancelled() and future.exception() is not None:
            self._failure = self._failure or future.exception()


class Bundle:
    """Collects small pieces of content into chunks, across files."""

    def __init__(self, pipeline: ChunkPipeline) -> None:
        self._pipeline = pipeline
        self._waiting = bytearray()
        self._number = pipeline.numbers.reserve()

    def add(self, data: Buffer) -> tuple[int, int]:
        """Add a piece no larger than a chunk; returns chunk number and offset."""
        if len(self._waiting) + len(data) > chunks.CHUNK_SIZE:
            self.flush()
        place = (self._number, len(self._waiting))
        self._waiting += data
        return place

    def flush(self) -> None:
        """Hand over what waits."""
        if self._waiting:
            self._pipeline.submit_as(self._number, bytes(self._waiting))
            self._waiting = bytearray()
            self._number = self._pipeline.numbers.reserve()


class TreeCapture:
    """Takes entries of one source; see `capture.SourceSink` for the methods' contract."""

    def __init__(self, keys: IndexKeys, pipeline: ChunkPipeline, bundle: Bundle, parent: ParentTree | None) -> None:
        self.entries: dict[bytes, TreeEntry] = {}
        self.read = 0
        self._keys = keys
        self._pipeline = pipeline
        self._bundle = bundle
        self._parent = parent

    def add(self, entry: Entry) -> None:
        """Add a directory or a symbolic link."""
        self._keep(entry, 0, b"", b"", 0)

    def add_file(self, entry: Entry, blocks: Iterable[Buffer], *, ctime_ns: int = 0) -> None:
        """Add a file with all its content."""
        size, parts, digest = 0, [], b""
        for data in chunks.split(blocks):
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
        for data in chunks.split(content):
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
        before = self._parent.entries.get(path) if self._parent else None
        if before is not None and digest and before.hash == digest and before.size == len(data):
            return before.extents
        return extents.single(*self._bundle.add(data), len(data))

    def _before(self, path: bytes) -> TreeEntry:
        before = self._parent.entries.get(path) if self._parent else None
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
            parts,
        )
        self.entries[entry.path] = kept


def _clip(starts: NDArray[np.int64], patches: extents.Extents, size: int) -> extents.Extents:
    """Cut the last patch at the file's end: a file need not end with a whole page."""
    if len(patches) and int(starts[-1]) + int(patches["length"][-1]) > size:
        patches = patches.copy()
        patches["length"][-1] = size - int(starts[-1])
    return patches
