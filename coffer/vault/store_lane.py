"""One store's way through a fan-out: a short queue, a few threads, and when it last got anything done."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from coffer.errors import CofferError
from coffer.vault.stores.protocol import Store

Act = Callable[[Store], None]
_WORKERS = 2  # so that a store's latency and its transfer overlap
_DEPTH = 1
_LOCK_BATCH = 500


class StoreLane:
    """Does things in one store, in about the order in which they were handed over.

    Attributes:
        store: The store.
        failure: Why it was left behind, if it was: what is handed over after that is dropped.
        bug: What a thread met that is no error of a store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.failure: CofferError | None = None
        self.bug: BaseException | None = None
        self._acts: deque[Act] = deque()
        self._working = 0
        self._closed = False
        self._changed = threading.Condition()
        self._moved = time.monotonic()
        self._watched = cast(Store, _Watched(store, self._beat))
        self._threads = [
            threading.Thread(target=self._serve, name=f"coffer-put-{number}", daemon=True) for number in range(_WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, act: Act, seconds: float) -> bool:
        """Hand something over if there is room within so many seconds; a store left behind takes anything."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._acts) < _DEPTH or self.failure, seconds):
                return False
            if self.failure is None:
                if not self._acts and not self._working:
                    self._beat()
                self._acts.append(act)
                self._changed.notify_all()
            return True

    def drain(self, seconds: float) -> bool:
        """Tell whether all that was handed over is done, within so many seconds, or the store left behind."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self.failure or not (self._acts or self._working), seconds))

    def is_stuck(self, patience: float) -> bool:
        """Tell whether nothing at all got done for so many seconds although there is something to do."""
        with self._changed:
            return bool(self._acts or self._working) and time.monotonic() - self._moved > patience

    def leave_behind(self, why: CofferError) -> None:
        """Drop what waits; what is in work ends by the store's own time limits, and nobody waits for it."""
        with self._changed:
            if self.failure is None:
                self.failure = why
            self._acts.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads; what is in work is finished first unless the store was left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(0 if self.failure else None)

    def _beat(self) -> None:
        self._moved = time.monotonic()

    def _serve(self) -> None:
        while act := self._next():
            try:
                act(self._watched)
            except CofferError as error:
                self.leave_behind(error)
            except BaseException as error:
                self.bug = error
            finally:
                with self._changed:
                    self._working -= 1
                    self._beat()
                    self._changed.notify_all()

    def _next(self) -> Act | None:
        with self._changed:
            self._changed.wait_for(lambda: self._acts or self._closed)
            if not self._acts:
                return None
            self._working += 1
            self._changed.notify_all()
            return self._acts.popleft()


class _Watched:
    """A store whose every answer is a sign of life: completing one that lagged far behind may take hours."""

    def __init__(self, store: Store, beat: Callable[[], None]) -> None:
        self._store = store
        self._beat = beat

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        found = getattr(self._store, name)
        return self._watch(found) if callable(found) else found

    def lock(self, names: Sequence[str], until: datetime) -> None:
        for at in range(0, len(names), _LOCK_BATCH):
            self._store.lock(names[at : at + _LOCK_BATCH], until)
            self._beat()

    def list(self, prefix: str = "") -> Iterator[Any]:
        for info in self._store.list(prefix):
            self._beat()
            yield info

    def _watch(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: object, **more: object) -> object:
            answer = call(*arguments, **more)
            self._beat()
            return answer

        return watched
