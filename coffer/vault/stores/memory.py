"""A store in this process's memory: for tests, and for seeing that the protocol is enough."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from coffer.errors import IntegrityError, NotThere, RefusedByPolicy
from coffer.vault.stores.protocol import Buffer, ObjectInfo


class MemoryStore:
    """Objects in a dictionary.

    Args:
        label: `memory:NAME` opens the same one everywhere in a process; an empty name is always new.

    Attributes:
        objects: What it holds.
        clock: Its time; by it objects are dated and locks end.
    """

    _shared: ClassVar[dict[str, MemoryStore]] = {}

    def __init__(self, label: str = "") -> None:
        self.label = label or secrets.token_hex(4)
        self.objects: dict[str, bytes] = {}
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._times: dict[str, datetime] = {}
        self._locks: dict[str, datetime] = {}
        self._mutex = threading.RLock()

    @classmethod
    def named(cls, label: str) -> MemoryStore:
        """Return the store of that name, made on first use."""
        if not label:
            return cls()
        return cls._shared.setdefault(label, cls(label))

    @property
    def url(self) -> str:
        """Address for people."""
        return f"memory:{self.label}"

    def put(self, name: str, data: Buffer) -> None:
        """Keep a copy."""
        content = bytes(data)
        with self._mutex:
            if self.objects.setdefault(name, content) != content:
                raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")
            self._times.setdefault(name, self.clock())

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return a copy."""
        content = self._content(name)
        return content[offset:] if length is None else content[offset : offset + length]

    def head(self, name: str) -> ObjectInfo:
        """Look at an object."""
        size = len(self._content(name))
        return ObjectInfo(name, size, self._times.get(name) or self.clock())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk a snapshot of the names."""
        for name in sorted(self.objects):
            if name.startswith(prefix) and name in self.objects:
                yield self.head(name)

    def delete(self, name: str) -> None:
        """Forget an object that no lock holds."""
        with self._mutex:
            until = self._locks.get(name)
            if until is not None and until > self.clock():
                raise RefusedByPolicy("An object may not be removed", detail=f"{name}: locked until {until}")
            self._locks.pop(name, None)
            self.objects.pop(name, None)
            self._times.pop(name, None)

    def older(self, name: str) -> Iterator[bytes]:
        """Nothing: this store keeps no versions."""
        return iter(())

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Nothing: what has no versions hides none."""
        return iter(())

    def now(self) -> datetime:
        """Return what its clock says."""
        return self.clock()

    @property
    def keeps_locks(self) -> bool:
        """It does, so that what depends on locks can be tested with it."""
        return True

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Hold objects until a moment at least."""
        with self._mutex:
            for name in names:
                self._content(name)
                self._locks[name] = max(until, self._locks.get(name, until))

    def locked_until(self, name: str) -> datetime | None:
        """Return the moment, past or not."""
        self._content(name)
        return self._locks.get(name)

    def create(self) -> None:
        """Do nothing: it is there."""

    def sweep(self, before: datetime) -> None:
        """Do nothing: nothing is ever half written."""

    def _content(self, name: str) -> bytes:
        try:
            return self.objects[name]
        except KeyError as error:
            raise NotThere("There is no such object", detail=f"{name} in {self.url}") from error
