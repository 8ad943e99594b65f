"""Stores that give back something else than they were given: what a drill must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from coffer.errors import NotThere
from coffer.vault import names
from coffer.vault.point_needs import read_needs
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import ObjectInfo, Store

_KEPT = 256


class _Changed:
    """A store with another face; what is not overridden goes through."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class OlderReplica(_Changed):
    """A store as it was before a moment: whoever set it back, or a replica that nobody copies to any more."""

    def __init__(self, inner: Store, before: datetime) -> None:
        super().__init__(inner)
        self._before = before

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk what was there then."""
        return (info for info in self._inner.list(prefix) if info.modified < self._before)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read what was there then."""
        self.head(name)
        return self._inner.get(name, offset, length)

    def head(self, name: str) -> ObjectInfo:
        """Look at what was there then."""
        info = self._inner.head(name)
        if info.modified >= self._before:
            raise NotThere(f"{name} is not there")
        return info


class Truncated(_Changed):
    """A store that kept only the beginning of one object."""

    def __init__(self, inner: Store, name: str) -> None:
        super().__init__(inner)
        self._name = name

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read what is left."""
        if name != self._name:
            return self._inner.get(name, offset, length)
        end = _KEPT if length is None else min(_KEPT, offset + length)
        return self._inner.get(name, offset, end - offset) if end > offset else b""

    def head(self, name: str) -> ObjectInfo:
        """Look at what is left."""
        info = self._inner.head(name)
        return replace(info, size=min(info.size, _KEPT)) if name == self._name else info


def older(stores: Sequence[Store], service: str) -> tuple[list[Store], str]:
    """Set every store back to before a service's newest point.

    Returns:
        The stores, and what was done.

    Raises:
        NotThere: There is no point to take away.
    """
    prefix = f"{names.POINTS}/{service}/"
    newest = max((info for store in stores for info in store.list(prefix)), key=lambda info: info.name, default=None)
    if newest is None:
        raise NotThere(f"there is no point of {service} to set back")
    times = [_written(store, newest.name) for store in stores]
    name = newest.name.split("/")[2]
    return _each(stores, lambda store: OlderReplica(store, min(filter(None, times)))), f"as before {name}"


def truncated(stores: Sequence[Store], reader: VaultReader, point: Point) -> tuple[list[Store], str]:
    """Cut off the largest pack that a point needs, in every store.

    Returns:
        The stores, and which pack.

    Raises:
        NotThere: The point needs no pack.
    """
    mine = [each for each in read_needs(reader.access()) if each.known.point.object_name == point.object_name]
    packs = [(each.needs[name], name) for each in mine for name in each.packs]
    if not packs:
        raise NotThere("the point needs no pack that could be cut off", detail=point.name)
    pack = max(packs)[1]
    return _each(stores, lambda store: Truncated(store, pack)), pack


def _each(stores: Sequence[Store], change: Callable[[Store], object]) -> list[Store]:
    return [cast("Store", change(store)) for store in stores]


def _written(store: Store, name: str) -> datetime | None:
    try:
        return store.head(name).modified
    except NotThere:
        return None
