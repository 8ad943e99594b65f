"""A store that fails as told: call number N, before or after it acted, by an error, a hang, a cut or a death."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from coffer.errors import CofferError, Unreachable
from coffer.vault.stores.protocol import Buffer, ObjectInfo, Store

VERBS = ("put", "get", "head", "list", "delete", "older", "now", "lock", "locked_until")


def _no_answer() -> CofferError:
    return Unreachable("503")


class Call(NamedTuple):
    """One call of a store: what was asked, about which name, prefix or first of the names."""

    verb: str
    name: str


@dataclass
class _Fault:
    act: Callable[[], None]
    at: int
    times: int
    after: bool
    verbs: frozenset[str]
    prefix: str
    cut: bool = False
    seen: int = 0

    def hit(self, call: Call) -> bool:
        """Count a call if it is of the kind that is meant; tell whether it is one that fails."""
        if call.verb not in self.verbs or not call.name.startswith(self.prefix):
            return False
        self.seen += 1
        return self.at <= self.seen < self.at + self.times


class FaultyStore:
    """Wraps any store. Nothing fails until it is told to; faults add up until `heal`.

    `at` counts from 1 those calls whose verb is in `verbs` and whose name begins with `prefix`; `times` calls in a
    row fail. Calls before the fault was armed do not count.

    Attributes:
        inner: The store that does the work.
        calls: Every call so far, also those that failed.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.calls: list[Call] = []
        self._faults: list[_Fault] = []
        self._listed: set[str] | None = None
        self._released = threading.Event()
        self._mutex = threading.Lock()

    def act(
        self,
        act: Callable[[], None],
        *,
        at: int = 1,
        times: int = 1,
        after: bool = False,
        verbs: Sequence[str] = VERBS,
        prefix: str = "",
    ) -> None:
        """Call something at call number `at`, before the store acts or after."""
        self._faults.append(_Fault(act, at, times, after, frozenset(verbs), prefix))

    def fail(
        self,
        error: Callable[[], CofferError] = _no_answer,
        *,
        at: int = 1,
        times: int = 1,
        after: bool = False,
        verbs: Sequence[str] = VERBS,
        prefix: str = "",
    ) -> None:
        """Raise an error; with `after` the store did what was asked and the answer is lost."""

        def speak() -> None:
            raise error()

        self.act(speak, at=at, times=times, after=after, verbs=verbs, prefix=prefix)

    def die(self, *, at: int, after: bool = False, verbs: Sequence[str] = VERBS, prefix: str = "") -> None:
        """Let this process end as if the power failed."""
        self.act(lambda: os.kill(os.getpid(), signal.SIGKILL), at=at, after=after, verbs=verbs, prefix=prefix)

    def hang(self, *, at: int = 1, after: bool = False, verbs: Sequence[str] = VERBS, prefix: str = "") -> None:
        """Give no answer until `release`; then the call fails."""

        def wait() -> None:
            self._released.wait()
            raise Unreachable("No answer came")

        self.act(wait, at=at, after=after, verbs=verbs, prefix=prefix)

    def release(self) -> None:
        """End every hang, those to come too."""
        self._released.set()

    def cut(self, *, at: int = 1, times: int = 1, prefix: str = "") -> None:
        """Let a get give back only the first half of what it should."""
        self._faults.append(_Fault(lambda: None, at, times, True, frozenset({"get"}), prefix, cut=True))

    def list_stale(self) -> None:
        """From now on list only what is there now, as a store whose listing lags."""
        self._listed = {info.name for info in self.inner.list()}

    def heal(self) -> None:
        """Fail no more."""
        self._faults.clear()
        self._listed = None

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def keeps_locks(self) -> bool:
        return self.inner.keeps_locks

    def put(self, name: str, data: Buffer) -> None:
        faults = self._before("put", name)
        self.inner.put(name, data)
        self._after(faults)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        faults = self._before("get", name)
        data = self.inner.get(name, offset, length)
        self._after(faults)
        return data[: len(data) // 2] if any(fault.cut for fault in faults) else data

    def head(self, name: str) -> ObjectInfo:
        faults = self._before("head", name)
        info = self.inner.head(name)
        self._after(faults)
        return info

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        faults = self._before("list", prefix)
        found = [info for info in self.inner.list(prefix) if self._listed is None or info.name in self._listed]
        self._after(faults)
        return iter(found)

    def delete(self, name: str) -> None:
        faults = self._before("delete", name)
        self.inner.delete(name)
        self._after(faults)

    def older(self, name: str) -> Iterator[bytes]:
        faults = self._before("older", name)
        found = [*self.inner.older(name)]
        self._after(faults)
        return iter(found)

    def hidden(self, prefix: str = "") -> Iterator[str]:
        faults = self._before("hidden", prefix)
        found = [*self.inner.hidden(prefix)]
        self._after(faults)
        return iter(found)

    def now(self) -> datetime:
        faults = self._before("now", "")
        moment = self.inner.now()
        self._after(faults)
        return moment

    def lock(self, names: Sequence[str], until: datetime) -> None:
        faults = self._before("lock", names[0] if names else "")
        self.inner.lock(names, until)
        self._after(faults)

    def locked_until(self, name: str) -> datetime | None:
        faults = self._before("locked_until", name)
        until = self.inner.locked_until(name)
        self._after(faults)
        return until

    def create(self) -> None:
        self.inner.create()

    def sweep(self, before: datetime) -> None:
        self.inner.sweep(before)

    def _before(self, verb: str, name: str) -> Sequence[_Fault]:
        call = Call(verb, name)
        with self._mutex:
            self.calls.append(call)
            hit = [fault for fault in self._faults if fault.hit(call)]
        for fault in hit:
            if not fault.after:
                fault.act()
        return [fault for fault in hit if fault.after]

    def _after(self, faults: Sequence[_Fault]) -> None:
        for fault in faults:
            fault.act()
