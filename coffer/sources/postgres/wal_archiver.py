"""Archives ahead of PostgreSQL: what it will ask for next is compressed, sealed and put before it asks.

PostgreSQL marks complete segments in `archive_status` and asks for one after another. The archive gets them in that
order, so that a disaster in the middle leaves no hole; only compressing and sealing run beside each other. "Yes" is
said when a segment is durable, and of exactly the file that PostgreSQL now names.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from coffer.errors import CofferError
from coffer.sources.postgres.wal import is_archive_name, is_history
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.sources.postgres.wal_push import WalPusher
from coffer.vault.capture import Fact

AHEAD = 6
"""Files in work beyond the one asked for: bounds the memory, two copies of 16 MiB each."""
_KEPT = 256


class SealingWriter(WalWriter, Protocol):
    """A vault that can seal ahead of putting."""

    def prepare_wal(self, cluster: str, segment: str, data: bytes, facts: dict[str, Fact], /) -> Any:  # noqa: ANN401 - the vault's own
        """Compress and seal; write nothing."""
        ...

    def put_prepared(self, file: Any, /) -> None:  # noqa: ANN401
        """Put what was prepared, as `put_wal` does."""
        ...


class Archiver:
    """Answers archive_command for one pg_wal.

    Args:
        pusher: Where the log goes, with its checks.
        vault: The same archive.
    """

    def __init__(self, pusher: WalPusher, vault: SealingWriter) -> None:
        self._pusher, self._vault = pusher, vault
        self._sealing = ThreadPoolExecutor(2, thread_name_prefix="wal-seal")
        self._putting = ThreadPoolExecutor(1, thread_name_prefix="wal-put")
        self._flights: dict[Path, tuple[tuple[int, ...], Future[None]]] = {}
        self._lock = threading.Lock()

    def push(self, path: Path) -> None:
        """Archive a file, and begin with those after it; raises as `WalPusher.push` does."""
        begun_ahead = path in self._flights
        try:
            self._push(path)
        except CofferError:
            if not begun_ahead:
                raise
            self._push(path)  # what failed before anybody asked is no answer

    def _push(self, path: Path) -> None:
        with self._lock:
            flight = before = self._begin(path, None)
            ready = self._after(path)
            with contextlib.suppress(OSError):
                for other in ready:
                    before = self._begin(other, before)
            self._forget_old({path, *ready})
        try:
            flight.result()
        except CofferError:
            with self._lock:  # the next try looks at everything anew
                self._flights.clear()
            raise

    def close(self) -> None:
        """End; what nobody asked for yet is dropped unless it is being put."""
        self._sealing.shutdown(cancel_futures=True)
        self._putting.shutdown(cancel_futures=True)

    def _begin(self, path: Path, before: Future[None] | None) -> Future[None]:
        """Return the work on a file, started unless this very file is in work.

        Args:
            path: The file.
            before: The work on the one before it; None: it was asked for, so all before it is archived.
        """
        try:
            state = _state(path)
        except OSError:
            if before is not None:
                raise
            state = ()
        known = self._flights.get(path)
        if known is None or known[0] != state or (before is None and known[1].done() and known[1].exception()):
            sealed = self._sealing.submit(self._seal, path)
            self._flights[path] = (state, self._putting.submit(self._put, sealed, before))
        return self._flights[path][1]

    def _seal(self, path: Path) -> object:
        file = self._pusher.read(path)
        return self._vault.prepare_wal(file.cluster, file.name, file.data, dict(file.facts))

    def _put(self, sealed: Future[object], before: Future[None] | None) -> None:
        if before is not None:
            before.result()  # put earlier by the same thread; where that failed, this one would leave a hole before it
        file = sealed.result()
        with self._pusher.lenient():
            self._vault.put_prepared(file)

    def _after(self, path: Path) -> list[Path]:
        """Return what PostgreSQL will ask for next, in its order: histories first, then by name."""
        try:
            marks = [mark.name for mark in os.scandir(path.parent / "archive_status")]
        except OSError:  # another layout: nothing is known ahead
            return []
        names = [mark.removesuffix(".ready") for mark in marks if mark.endswith(".ready")]
        waiting = sorted(filter(is_archive_name, names), key=lambda name: (not is_history(name), name))
        place = waiting.index(path.name) + 1 if path.name in waiting else 0
        return [path.with_name(name) for name in waiting[place : place + AHEAD] if name != path.name]

    def _forget_old(self, wanted: set[Path]) -> None:
        done = [path for path, (_, flight) in self._flights.items() if path not in wanted and flight.done()]
        for path in done[: max(0, len(done) - _KEPT)]:
            del self._flights[path]


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file becomes another; a segment that is recycled gets a new name."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
