"""One stream of objects to every store at once; a store that fails is left behind, not the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from coffer.errors import CofferError
from coffer.vault.store_set import gravest
from coffer.vault.stores.protocol import Store

_DEPTH = 2
_Job = Callable[[], None]


class FanOut:
    """Puts objects into every store, each by a thread of its own.

    Attributes:
        failures: Why which store was left behind.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.failures: dict[str, CofferError] = {}
        self._bugs: list[BaseException] = []
        self._lanes = [(store, queue.Queue[_Job | None](_DEPTH)) for store in stores]
        self._threads = [
            threading.Thread(target=self._serve, args=lane, name=f"coffer-put-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, name: str, data: bytes) -> None:
        """Hand an object to every store that has not failed; waits when stores are slower than the source.

        Raises:
            CofferError: No store is left.
        """
        self.run(lambda store: store.put(name, data))

    def run(self, act: Callable[[Store], None]) -> None:
        """Do something in every store that has not failed; raises as `put` does."""
        self.check()
        for store, lane in self._lanes:
            if store.url not in self.failures:
                lane.put(lambda store=store: act(store))  # type: ignore[misc]

    def flush(self) -> None:
        """Wait until all that was handed over is done; raises as `put` does."""
        for _, lane in self._lanes:
            lane.join()
        self.check()

    def check(self) -> None:
        """Raise if no store is left, or if a thread met a bug."""
        if self._bugs:
            raise self._bugs[0]
        if len(self.failures) == len(self._lanes):
            raise gravest(list(self.failures.values()))

    def live(self) -> list[Store]:
        """Return the stores that have not failed."""
        return [store for store, _ in self._lanes if store.url not in self.failures]

    def close(self) -> None:
        """End the threads; what is in work is finished first."""
        for _, lane in self._lanes:
            lane.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, store: Store, lane: queue.Queue[_Job | None]) -> None:
        while True:
            job = lane.get()
            try:
                if job is None:
                    return
                if store.url not in self.failures:
                    job()
            except CofferError as error:
                self.failures[store.url] = error
            except BaseException as error:
                self._bugs.append(error)
            finally:
                lane.task_done()
