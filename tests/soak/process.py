"""One run of a program as the model sees it: its view of the stores, and the one call at which something happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from coffer.errors import Unreachable
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Buffer, ObjectInfo
from tests.soak.actions import Disturbance

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: what it had asked for before stays done, and it asks for nothing more."""


class Process:
    """A program that runs from here until it ends, fails or is killed.

    Args:
        stores: The stores themselves.
        away: Numbers of those that do not answer.
        disturbance: What happens at which call.
        intrude: Does what a `run` disturbance asks for, in the middle of a call.
    """

    def __init__(
        self,
        stores: Sequence[MemoryStore],
        away: frozenset[int],
        disturbance: Disturbance | None,
        intrude: Callable[[Disturbance], None],
    ) -> None:
        self.stores = [Handle(self, number, store) for number, store in enumerate(stores)]
        self.away = away
        self.dead = False
        self.disturbed = False
        self._disturbance = disturbance
        self._intrude = intrude
        self._calls = [0] * len(stores)
        self._working = 0
        self._changed = threading.Condition()

    def call(self, store: int, ask: Callable[[], T], *, looked: str = "") -> T:
        """Ask a store, unless something happens before; or let it happen after.

        Args:
            store: Its number.
            ask: The question.
            looked: `before` or `after`, where the program has just looked at marks and clock and puts its manifest
                next. A host that sleeps for a day just there is told so afterwards: no program runs to its end there.
        """
        with self._changed:
            self._working += 1
        try:
            fatal = self._is_the_call(store)
            planned = self._disturbance
            after = planned is not None and planned.after
            if planned is not None and planned.what == "run" and looked == ("after" if after else "before"):
                fatal = False
            if fatal and not after:
                self._happen()
            self._check(store)
            answer = ask()
            if fatal and after:
                self._happen()
            return answer
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Wait for calls that threads left behind are still in."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._working, 60)

    def _check(self, store: int) -> None:
        if self.dead:
            raise Killed
        if store in self.away:
            raise Unreachable(f"store {store} is away")

    def _is_the_call(self, store: int) -> bool:
        with self._changed:
            self._calls[store] += 1
            planned = self._disturbance
            return (
                planned is not None
                and store not in self.away
                and (planned.store, planned.call) == (store, self._calls[store])
            )

    def _happen(self) -> None:
        planned = self._disturbance
        assert planned is not None
        if self.dead:
            raise Killed
        self.disturbed = True
        if planned.what == "kill":
            self.dead = True
            raise Killed
        if planned.what == "fail":
            raise Unreachable("no answer", detail="it did" if planned.after else "it did nothing")
        self._intrude(planned)


class Handle:
    """A store as a process reaches it."""

    def __init__(self, process: Process, number: int, store: MemoryStore) -> None:
        self._process = process
        self._number = number
        self._store = store

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def keeps_locks(self) -> bool:
        return self._store.keeps_locks

    def put(self, name: str, data: Buffer) -> None:
        self._call(lambda: self._store.put(name, data), looked="before" if name.startswith("points/") else "")

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._call(lambda: self._store.get(name, offset, length))

    def head(self, name: str) -> ObjectInfo:
        return self._call(lambda: self._store.head(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(self._call(lambda: [*self._store.list(prefix)]))

    def delete(self, name: str) -> None:
        self._call(lambda: self._store.delete(name))

    def older(self, name: str) -> Iterator[bytes]:
        return iter(self._call(lambda: [*self._store.older(name)]))

    def hidden(self, prefix: str = "") -> Iterator[str]:
        return iter(self._call(lambda: [*self._store.hidden(prefix)]))

    def now(self) -> datetime:
        return self._call(self._store.now, looked="after")

    def lock(self, names: Sequence[str], until: datetime) -> None:
        self._call(lambda: self._store.lock(names, until))

    def locked_until(self, name: str) -> datetime | None:
        return self._call(lambda: self._store.locked_until(name))

    def create(self) -> None:
        self._call(self._store.create)

    def sweep(self, before: datetime) -> None:
        self._call(lambda: self._store.sweep(before))

    def _call(self, ask: Callable[[], T], *, looked: str = "") -> T:
        return self._process.call(self._number, ask, looked=looked)
