"""Fetches ahead of a recovery: what PostgreSQL will ask for next lies opened and checked on its disk before it asks.

"Not there" is never answered from what was fetched ahead: whether the log ends is asked when PostgreSQL asks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from coffer.errors import CofferError, UsageError
from coffer.sources.postgres.wal import Segment, is_segment
from coffer.sources.postgres.wal_fetch import WalFetcher

AHEAD = 6
"""Segments fetched beyond the one asked for: bounds spool and memory."""


class Prefetcher:
    """Answers restore_command for one cluster.

    Args:
        fetcher: Where the log comes from, with its checks.
        spool: Folder of our own, best on the file system of pg_wal; emptied.
        segment_size: Bytes of a segment.
    """

    def __init__(self, fetcher: WalFetcher, spool: Path, *, segment_size: int) -> None:
        self._fetcher, self._spool, self._size = fetcher, spool, segment_size
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="wal-fetch")
        self._flights: dict[str, Future[Path]] = {}
        self._lock = threading.Lock()
        self._number = 0
        for left in spool.iterdir():
            left.unlink()

    def fetch(self, name: str, destination: Path) -> None:
        """Bring a file and begin with those after it; raises as `WalFetcher.fetch` does."""
        if not is_segment(name):
            self._fetcher.fetch(name, destination)
            return
        with self._lock:
            flight = self._flights.pop(name, None)
            if flight is not None:  # it was fetched ahead, so the log goes on: keep the distance
                self._begin_after(name)
        try:
            place = (flight or self._pool.submit(self._bring, name)).result()
        except CofferError:  # it may have come meanwhile, or the log ends: that is judged now, not ahead
            self._fetcher.fetch(name, destination)
            return
        _hand_over(place, destination)
        if flight is None:
            with self._lock:
                self._begin_after(name)

    def close(self) -> None:
        """End, and leave nothing behind."""
        with self._lock:
            self._drop_all_but(())
        self._pool.shutdown(cancel_futures=True)
        for left in self._spool.iterdir():
            left.unlink()

    def _begin_after(self, name: str) -> None:
        ahead = self._ahead(name)
        self._drop_all_but(ahead)
        for other in ahead:
            if other not in self._flights:
                self._flights[other] = self._pool.submit(self._bring, other)

    def _ahead(self, name: str) -> list[str]:
        """Return the names after one, but none beyond the first that was not there a moment ago."""
        segment, names = Segment.parse(name, self._size), []
        for _ in range(AHEAD):
            segment = segment.next()
            flight = self._flights.get(segment.name)
            if flight and flight.done() and not flight.cancelled() and flight.exception():
                break
            names.append(segment.name)
        return names

    def _bring(self, name: str) -> Path:
        data = self._fetcher.read_whole(name)
        with self._lock:
            self._number += 1
            place = self._spool / f"{name}-{self._number}"
        try:
            place.write_bytes(data)
        except OSError as error:
            with contextlib.suppress(OSError):
                place.unlink()
            raise UsageError(f"{place} cannot be written", detail=error.strerror or str(error)) from error
        return place

    def _drop_all_but(self, wanted: list[str] | tuple[()]) -> None:
        for name in set(self._flights) - set(wanted):
            flight = self._flights.pop(name)
            if not flight.cancel():
                flight.add_done_callback(_discard)


def _discard(flight: Future[Path]) -> None:
    if not flight.cancelled() and not flight.exception():
        with contextlib.suppress(OSError):
            flight.result().unlink()


def _hand_over(place: Path, destination: Path) -> None:
    """Move a checked file to where PostgreSQL wants it, whole or not at all; PostgreSQL itself makes it durable.

    Raises:
        UsageError: The folder is missing or may not be written.
    """
    try:
        try:
            place.rename(destination)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = destination.with_name(f".{destination.name}.coffer-{os.getpid()}")
            beside.write_bytes(place.read_bytes())
            beside.rename(destination)
            place.unlink()
    except OSError as error:
        raise UsageError(f"{destination} cannot be written", detail=error.strerror or str(error)) from error
