"""Brings to a store what a point needs and the store lacks, before the point's manifest goes there."""

from __future__ import annotations

from collections.abc import Mapping

from coffer.vault import names
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

_PREFIXES = (f"{names.KEYS}/run-", f"{names.PACKS}/", f"{names.TREES}/", f"{names.INDEX}/")


def complete_store(store: Store, everywhere: StoreSet, objects: Mapping[str, int]) -> int:
    """Copy missing objects into a store from any other.

    A store that missed earlier points becomes whole here: what an incremental shares with its parent may be missing.

    Args:
        store: The store to complete.
        everywhere: Where the objects can be had.
        objects: Names and sizes of what must be there.

    Returns:
        How many objects were copied.

    Raises:
        IntegrityError: An object is nowhere as it was written.
    """
    present = {info.name: info.size for prefix in _PREFIXES for info in store.list(prefix)}
    keys = {name.rpartition("/")[0] for name in present if name.startswith(_PREFIXES[0])}
    missing = [
        name
        for name, size in objects.items()
        if name.rpartition("/")[0] not in keys and present.get(name, _listed(store, name)) != size
    ]
    for name in missing:
        store.put(name, everywhere.read_needed(name))
    return len(missing)


def _listed(store: Store, name: str) -> int | None:
    """Return the size of an object outside the four large prefixes; those were listed whole."""
    if name.startswith(_PREFIXES):
        return None
    found = next((info for info in store.list(name) if info.name == name), None)
    return found.size if found else None
