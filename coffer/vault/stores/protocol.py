"""What a vault needs of a place that keeps objects, and the four ways in which it may say no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Buffer = bytes | bytearray | memoryview


def as_bytes(data: Buffer) -> bytes:
    """Return bytes, without a copy wherever that can be: clients take no other buffer."""
    whole = data.obj if isinstance(data, memoryview) else data
    return whole if isinstance(whole, bytes) and len(whole) == len(data) else bytes(data)


@dataclass(frozen=True)
class ObjectInfo:
    """One object as a store knows it.

    Attributes:
        name: Its name, `/`-separated, relative to the vault.
        size: Bytes.
        modified: When the store says it was written, by the store's clock.
    """

    name: str
    size: int
    modified: datetime


class Store(Protocol):
    """Objects by name, each written once.

    Every method may raise `Unreachable` (no answer: says nothing about presence) and `NotAllowed`.
    """

    @property
    def url(self) -> str:
        """Address without secrets, for people and logs."""
        ...

    def put(self, name: str, data: Buffer) -> None:
        """Write an object durably; the same bytes again are fine.

        Raises:
            IntegrityError: Other bytes stand under that name.
            StoreFull: No room; nothing is left behind.
        """
        ...

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read an object or a part of it; fewer bytes come back only where it ends.

        Raises:
            NotThere: It is proven to be absent.
        """
        ...

    def head(self, name: str) -> ObjectInfo:
        """Look at an object without reading it.

        Raises:
            NotThere: It is proven to be absent.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk the objects whose names begin with a prefix; in about their order: some services sort by folder."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; an absent one is fine.

        Raises:
            RefusedByPolicy: A lock holds it.
        """
        ...

    def older(self, name: str) -> Iterator[bytes]:
        """Read what else was ever kept under a name: overwritten or delete-marked versions."""
        ...

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Name the objects whose bytes are kept while the newest version says that they are removed: tampering.

        `delete` leaves no such thing behind.
        """
        ...

    def now(self) -> datetime:
        """Ask for the time by the store's own clock, which also dates what is put."""
        ...

    @property
    def keeps_locks(self) -> bool:
        """Whether a lock on an object holds here; where it is false, `lock` does nothing."""
        ...

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Let nobody remove or replace objects before a moment; a later date that stands is left as it is.

        Raises:
            NotThere: An object is absent.
            NotAllowed: This identity may not lock.
        """
        ...

    def locked_until(self, name: str) -> datetime | None:
        """Return until when an object is locked, if it is.

        Raises:
            NotThere: It is proven to be absent.
        """
        ...

    def create(self) -> None:
        """Make the place, where this store makes its own (a folder); a bucket is made by whoever sets its locks.

        Raises:
            NotAllowed: It cannot be made.
        """
        ...

    def sweep(self, before: datetime) -> None:
        """Remove what killed writers left half written before a moment: never objects."""
        ...
