"""A limit on bytes a second, shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """Lets bytes through at a rate; what was not used is not saved up.

    Args:
        rate: Bytes a second.
        clock: Seconds, always going forward.
        pause: Waits so many seconds.
    """

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._pause = pause
        self._free_at = clock()
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        with self._lock:
            now = self._clock()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self._rate
        if begin > now:
            self._pause(begin - now)
