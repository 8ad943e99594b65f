"""Chunks on their way into packs: hashed, compressed and sealed in threads; small pieces bundled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from coffer.vault import chunks
from coffer.vault.capture import Buffer
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.packs import PackWriter

_IN_WORK = 4
"""Chunks in work or waiting, for each thread."""
T = TypeVar("T")


class ChunkPipeline:
    """Hashes, compresses and seals chunks in threads; what is in work is bounded."""

    def __init__(self, packer: PackWriter, numbers: ChunkNumbers, jobs: int) -> None:
        self.numbers = numbers
        self._packer = packer
        self._pool = ThreadPoolExecutor(jobs, "coffer-seal")
        self._in_work = _IN_WORK * jobs
        self._room = BoundedSemaphore(self._in_work)
        self._failure: BaseException | None = None

    def submit(self, data: bytes) -> int:
        """Hand over a chunk; returns the number by which the run speaks of it."""
        number = self.numbers.reserve()
        self.submit_as(number, data)
        return number

    def submit_read(self, read: Callable[[], bytes]) -> int:
        """Hand over a chunk that is read in the thread that stores it; returns its number."""
        number = self.numbers.reserve()
        self.run(lambda: self.numbers.settle(number, self._packer.store(read())))
        return number

    def submit_as(self, number: int, data: bytes) -> None:
        """Hand over a chunk whose number was reserved before."""
        self.run(lambda: self.numbers.settle(number, self._packer.store(data)))

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Do something in a thread, when there is room; what it raises, `check` raises, too."""
        self.check()
        self._room.acquire()
        future = self._pool.submit(work)
        future.add_done_callback(self._done)
        return future

    def check(self) -> None:
        """Raise what a thread met."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Wait for all that was handed over."""
        for _ in range(self._in_work):
            self._room.acquire()
        for _ in range(self._in_work):
            self._room.release()
        self.check()

    def finish(self) -> None:
        """Wait for all that was handed over; then every number is settled and every pack emitted."""
        self.wait()
        self._packer.finish()

    def abandon(self) -> None:
        """End the threads without finishing packs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: Future[T]) -> None:
        if not future.cancelled() and future.exception() is not None:
            self._failure = self._failure or future.exception()
        self._room.release()


class Bundle:
    """Collects small pieces of content into chunks, across files."""

    def __init__(self, pipeline: ChunkPipeline) -> None:
        self._pipeline = pipeline
        self._waiting = bytearray()
        self._number = -1

    def add(self, data: Buffer) -> tuple[int, int]:
        """Add a piece no larger than a chunk; returns chunk number and offset."""
        if len(self._waiting) + len(data) > chunks.CHUNK_SIZE:
            self.flush()
        if not self._waiting:
            self._number = self._pipeline.numbers.reserve()
        place = (self._number, len(self._waiting))
        self._waiting += data
        return place

    def flush(self) -> None:
        """Hand over what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._pipeline.submit_as(self._number, bytes(waiting))
