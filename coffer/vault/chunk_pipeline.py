"""Chunks on their way into packs: hashed, compressed and sealed in threads; small pieces bundled."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore

from coffer.vault import chunks
from coffer.vault.capture import Buffer
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.packs import PackWriter

_WORKERS = 2
_IN_WORK = 8


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
