"""Several stores read as one: the next is asked when one fails or holds a bad object."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from coffer.errors import CofferError, IntegrityError, NotThere
from coffer.vault import names
from coffer.vault.asking import Asking, gravest
from coffer.vault.store_health import StoreHealth
from coffer.vault.stores.protocol import ObjectInfo, Store

__all__ = ["StoreSet", "gravest"]
T = TypeVar("T")
_PATIENCE = 30.0


class StoreSet:
    """Stores of one vault, in order of preference.

    Attributes:
        stores: The stores.
        notes: What went wrong with which store although the answer was found; each once.
        health: Which of them keep failing, and are asked last.
        patience: Seconds to wait for one store while another could be asked.
        silent: Why stores did not answer when names were last asked for: what is not found may be there.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = tuple(stores)
        self.notes: list[str] = []
        self.health = StoreHealth()
        self.patience = _PATIENCE
        self.silent: list[CofferError] = []
        self._lock = threading.Lock()

    def describe(self) -> str:
        """Return the stores' addresses."""
        return ", ".join(store.url for store in self.stores)

    def read(self, name: str) -> bytes:
        """Read an object whole and compare it with its name.

        Raises:
            IntegrityError: Nowhere is it what was written.
            NotThere: Every store says that it is absent.
            Unreachable: No store has it, and one did not answer.
        """
        return self.first(name, lambda store: _read_checked(store, name))

    def read_needed(self, name: str) -> bytes:
        """Read an object that a signed record names: that it is absent is then an integrity error."""
        return self.first_needed(name, lambda store: _read_checked(store, name))

    def first_needed(self, name: str, attempt: Callable[[Store], T]) -> T:
        """Do as `first` does, for an object that a signed record names.

        Raises:
            IntegrityError: It is missing everywhere, or nowhere what was written.
            Unreachable: No store that might hold it answers.
        """
        try:
            return self.first(name, attempt)
        except NotThere as error:
            raise IntegrityError("An object that a point needs is missing", detail=error.detail) from error

    def first(self, name: str, attempt: Callable[[Store], T]) -> T:
        """Return what the first store gives for which an attempt succeeds.

        Raises:
            CofferError: None did; a store that holds something else weighs more than one that is silent, and
                that one more than one that says no.
        """
        return Asking[T](self.stores, self.health, self.patience, self.note).ask(attempt)

    def names(self, prefix: str, *, every_store: bool = False) -> list[str]:
        """Return the names that any store holds below a prefix, sorted.

        Args:
            prefix: Beginning of the names.
            every_store: Refuse to answer unless every store did.

        Raises:
            Unreachable: No store answered, or not every one where that was asked for.
        """
        return sorted(self.where(prefix, every_store=every_store))

    def where(self, prefix: str, *, every_store: bool = False) -> dict[str, list[Store]]:
        """Return which stores hold which names below a prefix; raises as `names` does."""
        found: dict[str, list[Store]] = {}
        for store, info in self._walk(prefix, every_store):
            found.setdefault(info.name, []).append(store)
        return found

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes of the objects that any store holds below a prefix; raises as `names` does."""
        return {info.name: info.size for _, info in self._walk(prefix, every_store=False)}

    def _walk(self, prefix: str, every_store: bool) -> list[tuple[Store, ObjectInfo]]:
        found: list[tuple[Store, ObjectInfo]] = []
        failures: list[CofferError] = []
        for store in self.stores:
            try:
                found += [(store, info) for info in store.list(prefix)]
            except CofferError as error:
                failures.append(error)
                self.note(f"{store.url}: {error}")
        self.silent = failures
        if failures and (every_store or len(failures) == len(self.stores)):
            raise gravest(failures)
        return found

    def note(self, text: str) -> None:
        """Remember a thing to say once."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)


def _read_checked(store: Store, name: str) -> bytes:
    data = store.get(name)
    try:
        names.check(name, data)
    except IntegrityError as error:
        for version in store.older(name):
            if names.ObjectName.parse(name).sha256 == hashlib.sha256(version).digest():
                return version
        raise IntegrityError(error.summary, detail=f"{error.detail} ({store.url})") from error
    return data
