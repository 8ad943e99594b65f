"""A store in this process's memory: for tests, and for seeing that the protocol is enough."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar

from coffer.errors import IntegrityError, NotThere
from coffer.vault.stores.protocol import Buffer, ObjectInfo


class MemoryStore:
    """Objects in a dictionary.

    Args:
        label: `memory:NAME` opens the same one everywhere in a process; an empty name is always new.
    """

    _shared: ClassVar[dict[str, MemoryStore]] = {}

    def __init__(self, label: str = "") -> None:
        self.label = label or secrets.token_hex(4)
        self.objects: dict[str, bytes] = {}
        self._times: dict[str, datetime] = {}
        self._lock = threading.Lock()

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
        with self._lock:
            if self.objects.setdefault(name, content) != content:
                raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")
            self._times.setdefault(name, datetime.now(UTC))

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return a copy."""
        content = self._content(name)
        return content[offset:] if length is None else content[offset : offset + length]

    def head(self, name: str) -> ObjectInfo:
        """Look at an object."""
        size = len(self._content(name))
        return ObjectInfo(name, size, self._times.get(name, datetime.now(UTC)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk a snapshot of the names."""
        for name in sorted(self.objects):
            if name.startswith(prefix) and name in self.objects:
                yield self.head(name)

    def delete(self, name: str) -> None:
        """Forget an object."""
        with self._lock:
            self.objects.pop(name, None)
            self._times.pop(name, None)

    def older(self, name: str) -> Iterator[bytes]:
        """Nothing: this store keeps no versions."""
        return iter(())

    def _content(self, name: str) -> bytes:
        try:
            return self.objects[name]
        except KeyError as error:
            raise NotThere("There is no such object", detail=f"{name} in {self.url}") from error
