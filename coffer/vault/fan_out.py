"""One stream of objects to every store at once; a store that fails or hangs is left behind, not the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coffer.errors import CofferError, Unreachable
from coffer.vault.store_lane import Act, StoreLane
from coffer.vault.store_set import gravest
from coffer.vault.stores.protocol import Buffer, Store

_PATIENCE = 180.0


class FanOut:
    """Puts objects into every store at once, each by threads of its own.

    No store runs further ahead of another than its queue holds, so the memory is bounded by the slowest. A store that
    gets nothing done for a while although others wait for it is left behind: it holds no point that was not completed
    there, and `coffer replicate` or the next point brings it what it missed.

    Args:
        stores: The stores.
        patience: Seconds without any answer of a store after which the others go on without it.
    """

    def __init__(self, stores: Sequence[Store], *, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._tick = min(1.0, patience / 4)
        self._lanes = [StoreLane(store) for store in stores]

    @property
    def failures(self) -> dict[str, CofferError]:
        """Why which store was left behind."""
        return {lane.store.url: lane.failure for lane in self._lanes if lane.failure is not None}

    def put(self, name: str, data: Buffer) -> None:
        """Hand an object to every store that was not left behind; waits while one is slower than the source.

        Raises:
            CofferError: No store is left.
        """
        self.run(lambda store: store.put(name, data))

    def run(self, act: Act) -> None:
        """Do something in every store that was not left behind; raises as `put` does."""
        self.check()
        for lane in self._lanes:
            self._wait(lane, lambda lane=lane: lane.offer(act, self._tick))  # type: ignore[misc]

    def flush(self) -> None:
        """Wait until all that was handed over is done; raises as `put` does."""
        for lane in self._lanes:
            self._wait(lane, lambda lane=lane: lane.drain(self._tick))  # type: ignore[misc]
        self.check()

    def check(self) -> None:
        """Raise if no store is left, or if a thread met a bug."""
        for lane in self._lanes:
            if lane.bug is not None:
                raise lane.bug
        failures = [lane.failure for lane in self._lanes if lane.failure is not None]
        if len(failures) == len(self._lanes):
            raise gravest(failures)

    def live(self) -> list[Store]:
        """Return the stores that were not left behind."""
        return [lane.store for lane in self._lanes if lane.failure is None]

    def close(self) -> None:
        """End the threads; what is in work is finished first."""
        for lane in self._lanes:
            lane.close()

    def _wait(self, lane: StoreLane, is_done: Callable[[], bool]) -> None:
        while not is_done():
            if lane.is_stuck(self._patience) and self._somebody_else_works(lane):
                lane.leave_behind(
                    Unreachable(
                        "The store holds up the others",
                        detail=f"{lane.store.url}: nothing done for {self._patience:g} s",
                        resolution="Bring it up to date with coffer replicate",
                    )
                )

    def _somebody_else_works(self, lane: StoreLane) -> bool:
        """The last store that may answer is waited for: it ends by its own time limits."""
        return any(
            other is not lane and other.failure is None and not other.is_stuck(self._patience) for other in self._lanes
        )
