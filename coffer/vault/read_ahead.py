"""Work done ahead in threads, its results in order, never more than a few of them waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
THREADS = 4


def ahead(work: Callable[[A], B], items: Iterable[A], *, threads: int = THREADS) -> Iterator[B]:
    """Yield the results of work on items, in order; up to twice as many as there are threads are in hand.

    What the work raises is raised where its result would have come.
    """
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(threads, "coffer-ahead")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except GeneratorExit:
        # Whoever asked is gone. The garbage collector may close this in any thread, even in one that is just being
        # started and holds a lock of `threading`: to wait for other threads there would be to wait for ever.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown(wait=True)
