"""Waiting for a condition, with an end, and with an eye on the fence."""

from __future__ import annotations

import time
from collections.abc import Callable

from coffer.errors import StepFailed


def wait_until(condition: Callable[[], str | None], *, within: float, what: str, every: float = 0.1) -> float:
    """Ask until the condition returns None; return the seconds it took.

    Args:
        condition: Returns None when it holds, else what is still missing. May raise to give up early.
        within: Seconds.
        what: What is waited for, for the error.
        every: Seconds between two looks.

    Raises:
        StepFailed: The time is over; what was still missing is in it.
    """
    begin = time.monotonic()
    while (missing := condition()) is not None:
        if time.monotonic() - begin >= within:
            raise StepFailed(f"{what} took longer than {within:g} s", detail=missing)
        time.sleep(every)
    return time.monotonic() - begin
