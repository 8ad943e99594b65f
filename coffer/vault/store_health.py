"""Which store to ask first: one that keeps failing rests for a while, so that not every request pays for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coffer.vault.stores.protocol import Store

_FAILURES = 2
_REST = 30.0
_LONGEST_REST = 600.0


@dataclass
class _State:
    failures: int = 0
    rest: float = _REST
    until: float = 0.0


class StoreHealth:
    """A circuit breaker for each store of a set.

    Two failures running, or one request that hangs, and a store rests for 30 s; each time that it fails again after
    its rest, for twice as long, ten minutes at most. A resting store is asked when no other one can help.

    Args:
        clock: Seconds, always going forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()

    def order(self, stores: Sequence[Store]) -> list[Store]:
        """Return stores in the order in which to ask: those that rest come last."""
        if not self._states:
            return list(stores)
        now = self._clock()
        with self._lock:
            resting = {url for url, state in self._states.items() if state.until > now}
        return sorted(stores, key=lambda store: store.url in resting)

    def answered(self, store: Store) -> None:
        """Take note of an answer, were it "not there"."""
        if self._states:
            with self._lock:
                self._states.pop(store.url, None)

    def failed(self, store: Store, *, hung: bool = False) -> bool:
        """Take note that a store did not answer; tell whether it rests from now on."""
        with self._lock:
            state = self._states.setdefault(store.url, _State())
            state.failures += 1
            now = self._clock()
            if state.until > now or (state.failures < _FAILURES and not hung):
                return False
            if state.until:
                state.rest = min(2 * state.rest, _LONGEST_REST)
            state.until = now + state.rest
            return True
