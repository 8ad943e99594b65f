"""Threads that do jobs as they come; the first failure stops all, and what is handed over is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue

_LOOK = 0.5  # seconds between looks at whether another thread failed, while waiting
_PATIENCE = 5.0
"""Seconds that an interrupted command waits for jobs in hand."""
Job = Callable[[], None]


class Workers:
    """Runs jobs in threads.

    The threads are daemons: when the command is interrupted, a store that hangs must not keep it alive.

    Args:
        count: How many.
        leaving: Called in each thread before it ends.
    """

    def __init__(self, count: int, leaving: Callable[[], None]) -> None:
        self._queue: Queue[Job | None] = Queue(count)
        self._leaving = leaving
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name=f"coffer-restore-{n}") for n in range(count)
        ]

    def run(self, jobs: Iterable[Job]) -> None:
        """Do all jobs; raise what the first one that failed raised."""
        for thread in self._threads:
            thread.start()
        try:
            for job in jobs:
                self._hand_over(job)
            for _ in self._threads:
                self._hand_over(None)
            for thread in self._threads:
                while thread.is_alive():
                    thread.join(_LOOK)
        except BaseException:
            self._stopped.set()
            latest = time.monotonic() + _PATIENCE
            for thread in self._threads:
                thread.join(max(0.0, latest - time.monotonic()))
            raise
        if self._failure is not None:
            raise self._failure

    def _hand_over(self, job: Job | None) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                self._queue.put(job, timeout=_LOOK)
                return

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    job = self._queue.get(timeout=_LOOK)
                except Empty:
                    continue
                if job is None:
                    return
                job()
        except BaseException as error:
            self._failure = self._failure or error
            self._stopped.set()
        finally:
            self._leaving()
