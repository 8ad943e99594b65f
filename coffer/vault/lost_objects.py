"""What a point needs and no store has any more: a backup takes it for unknown and stores it anew from the source."""

from __future__ import annotations

from collections.abc import Collection

from coffer.vault import names
from coffer.vault.store_set import StoreSet

_SHARED = (names.PACKS, names.TREES, names.INDEX)


def find_lost(stores: StoreSet, listed: Collection[str]) -> frozenset[str]:
    """Return which objects no store that answers has.

    Args:
        stores: Where to look; one that is silent is passed over: storing a thing twice harms nobody.
        listed: Names of what a point needs.

    Raises:
        Unreachable: No store answers.
    """
    there = {name for prefix in _SHARED for name in stores.sizes(f"{prefix}/")}
    # A key may have been wrapped anew under another name.
    keys = {_place(name) for name in stores.sizes(names.RUN_KEYS)}
    return frozenset(name for name in listed if name not in there and _place(name) not in keys)


def runs_of(objects: Collection[str]) -> frozenset[str]:
    """Return the ids, in hex, of the runs whose keys are among some objects."""
    return frozenset(_place(name).removeprefix(names.RUN_KEYS) for name in objects if name.startswith(names.RUN_KEYS))


def _place(name: str) -> str:
    return name.rpartition("/")[0]
