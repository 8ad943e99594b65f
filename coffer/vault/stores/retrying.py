"""Asks again what failed by chance: exponential backoff with full jitter, a number of attempts and a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Retries:
    """How often and for how long to ask again.

    Full jitter (a wait drawn between nothing and the doubled bound) spreads clients that failed together best:
    Brooker, "Exponential Backoff and Jitter", 2015.

    Attributes:
        attempts: How often in all.
        deadline: Seconds after the first attempt at which no further one begins.
        first: Seconds that the first wait is below; it doubles.
        longest: Seconds that every wait is below.
    """

    attempts: int = 6
    deadline: float = 300.0
    first: float = 0.25
    longest: float = 20.0

    def run(self, ask: Callable[[], T], deserves: Callable[[Exception], bool]) -> T:
        """Return what `ask` gives, asking again after errors that deserve it; the last error is raised as it is."""
        end = time.monotonic() + self.deadline
        for attempt in range(1, self.attempts + 1):
            try:
                return ask()
            except Exception as error:
                wait = random.uniform(0, min(self.longest, self.first * 2 ** (attempt - 1)))  # noqa: S311 - jitter
                if attempt == self.attempts or not deserves(error) or time.monotonic() + wait >= end:
                    raise
            time.sleep(wait)
        raise ValueError("at least one attempt")
