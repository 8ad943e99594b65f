"""Asks one store after the other; one that hangs is left behind, and heard again if no other one helps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Generic, TypeVar

from coffer.errors import CofferError, IntegrityError, NotThere, Unreachable
from coffer.vault.store_health import StoreHealth
from coffer.vault.stores.protocol import Store

T = TypeVar("T")
Failure = tuple[Store, CofferError]


class Asking(Generic[T]):
    """One question to several stores.

    Args:
        stores: Whom to ask, in order of preference.
        health: What is known of them.
        patience: Seconds to wait for one store while another could be asked.
        note: Takes what is worth saying.
    """

    def __init__(
        self, stores: Sequence[Store], health: StoreHealth, patience: float, note: Callable[[str], None]
    ) -> None:
        self._stores = health.order(stores)
        self._health = health
        self._patience = patience
        self._note = note
        self._failures: list[Failure] = []
        self._late: dict[Future[T], Store] = {}

    def ask(self, attempt: Callable[[Store], T]) -> T:
        """Return what the first store gives for which the attempt succeeds.

        Raises:
            CofferError: No attempt did; see `gravest`.
        """
        for number, store in enumerate(self._stores, 1):
            alone = number == len(self._stores) and not self._late
            asked = _ask_here(attempt, store) if alone else _ask_aside(attempt, store)
            if not alone and not wait([asked], self._patience).done:
                self._late[asked] = store
                self._hangs(store)
                continue
            if self._gives(store, asked):
                return asked.result()
        while self._late:
            asked = wait(self._late, return_when=FIRST_COMPLETED).done.pop()
            if self._gives(self._late.pop(asked), asked):
                return asked.result()
        raise gravest([error for _, error in self._failures])

    def _gives(self, store: Store, asked: Future[T]) -> bool:
        """Tell whether a store gave a result; keep its failure if not."""
        error = asked.exception()
        if isinstance(error, CofferError):
            self._failed(store, error)
            return False
        self._health.answered(store)
        for failed, why in self._failures:
            self._note(f"{failed.url}: {why}")
        return True

    def _hangs(self, store: Store) -> None:
        if self._health.failed(store, hung=True):
            self._note(f"{store.url}: did not answer for {self._patience:g} s; others are asked first")

    def _failed(self, store: Store, error: CofferError) -> None:
        self._failures.append((store, error))
        if isinstance(error, (IntegrityError, NotThere)):
            self._health.answered(store)
        elif self._health.failed(store):
            self._note(f"{store.url}: keeps failing; others are asked first")


def gravest(failures: Sequence[CofferError]) -> CofferError:
    """Return the failure that says most: not genuine, silent or forbidden, absent everywhere."""
    for kind in (IntegrityError, Unreachable):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    for failure in failures:
        if not isinstance(failure, NotThere):
            return failure
    return failures[0]


def _ask_here(attempt: Callable[[Store], T], store: Store) -> Future[T]:
    asked: Future[T] = Future()
    try:
        asked.set_result(attempt(store))
    except BaseException as error:
        asked.set_exception(error)
    return asked


def _ask_aside(attempt: Callable[[Store], T], store: Store) -> Future[T]:
    """Ask in a thread that nobody waits for at the end: a call into a store that hangs cannot be broken off."""
    asked: Future[T] = Future()

    def answer() -> None:
        done = _ask_here(attempt, store)
        error = done.exception()
        asked.set_exception(error) if error else asked.set_result(done.result())

    threading.Thread(target=answer, daemon=True, name="coffer-ask").start()
    return asked
