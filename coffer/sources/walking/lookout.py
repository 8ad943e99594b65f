"""Does a walk's small jobs ahead of it, in threads: a disk answers many questions in the time of one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
THREADS = 6


class Job(Generic[T]):
    """Something to be done once, by a thread or by whoever needs it first."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._taken = threading.Lock()
        self._in_work = threading.Lock()
        self._in_work.acquire()  # a lock costs a tenth of an event, and there is a job for every folder
        self._result: T | None = None
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do it unless somebody has begun."""
        if self._taken.acquire(blocking=False):
            try:
                self._result = self._work()
            except BaseException as error:
                self._error = error
            self._in_work.release()

    def result(self) -> T:
        """Return what came of it; raises what it raised."""
        self.do()
        with self._in_work:
            pass
        if self._error is not None:
            raise self._error
        return cast(T, self._result)


class Lookout:
    """A few threads that do jobs in about the order in which they were posted."""

    def __init__(self, threads: int = THREADS) -> None:
        self._jobs: deque[Job[Any]] = deque()
        self._there = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def post(self, job: Job[Any]) -> None:
        """Have a job done by a thread."""
        self._jobs.append(job)
        self._there.release()

    def close(self) -> None:
        """Drop what waits and end the threads."""
        self._jobs.clear()
        for _ in self._threads:
            self._there.release()

    def _serve(self) -> None:
        while True:
            self._there.acquire()
            try:
                job = self._jobs.popleft()
            except IndexError:  # closed
                return
            job.do()
