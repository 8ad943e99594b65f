"""Makes what costs time and shows nothing cheap: pure functions remember, and reads that never wait need no thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

from coffer.keys import signing, xwing
from coffer.vault import asking, read_ahead


class Inline:
    """An executor that does the work at once: a memory store answers before a thread would have started."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what an executor takes."""

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Do it now."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments))
        except BaseException as error:
            done.set_exception(error)
        return done

    def shutdown(self, **_: object) -> None:
        """Nothing is left to end."""


def make_cheap() -> Callable[[], None]:
    """Replace the functions; returns what puts them back."""
    before = (signing.is_signed, xwing.decapsulate, asking._ask_aside, read_ahead.ThreadPoolExecutor)
    _put(lru_cache(4096)(before[0]), lru_cache(4096)(before[1]), asking._ask_here, Inline)
    return lambda: _put(*before)


def _put(is_signed: Any, decapsulate: Any, ask_aside: Any, executor: Any) -> None:
    signing.is_signed, xwing.decapsulate = is_signed, decapsulate
    asking._ask_aside, read_ahead.ThreadPoolExecutor = ask_aside, executor
