"""One request for each of many objects, in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

_THREADS = 16


def for_each(names: Sequence[str], act: Callable[[str], None]) -> None:
    """Do something to each of many objects, several at a time; what is left is not begun once one has failed.

    Raises:
        CofferError: What the first that failed met.
    """
    with ThreadPoolExecutor(min(_THREADS, max(1, len(names)))) as pool:
        futures = [pool.submit(act, name) for name in names]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
