"""Commits a point in one store: brings there what it lacks, locks it, looks for marks, and puts the manifest last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from coffer.vault import names
from coffer.vault.prune_guard import PruneGuard
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

_OF_RUNS = (names.RUN_KEYS, f"{names.KEYS}/wal-")
_PREFIXES = (names.RUN_KEYS, f"{names.PACKS}/", f"{names.TREES}/", f"{names.INDEX}/")


def commit_point(
    store: Store,
    everywhere: StoreSet,
    objects: Mapping[str, int],
    manifest: tuple[str, bytes],
    guard: PruneGuard,
    window: timedelta,
) -> None:
    """Make a point exist in a store.

    Args:
        store: The store.
        everywhere: Where objects that it lacks can be had.
        objects: Names and sizes of all that the point needs.
        manifest: Name and bytes of its manifest.
        guard: Knows what a prune has marked.
        window: How long the point is to be kept at least: its objects are locked for as long, where locks are kept.

    Raises:
        IntegrityError: An object is nowhere as it was written.
        HeldByAnother: A prune has marked something of it; the point does not exist then.
        RefusedByPolicy: The run took too long.
        NotAllowed: This identity may not lock.
    """
    there = complete_store(store, everywhere, objects)
    until = lock_end(store, window)
    if until is not None:
        store.lock([*there, *_foundation(store)], until)
    guard.check(objects)
    store.put(*manifest)
    guard.check_time()
    if until is not None:
        store.lock([manifest[0]], until)


def complete_store(store: Store, everywhere: StoreSet, objects: Mapping[str, int]) -> list[str]:
    """Copy missing objects into a store from any other.

    A store that missed earlier points becomes whole here: what an incremental shares with its parent may be missing.

    Args:
        store: The store to complete.
        everywhere: Where the objects can be had.
        objects: Names and sizes of what must be there.

    Returns:
        Names of what is there now: a key that was wrapped anew stands under another name.

    Raises:
        IntegrityError: An object is nowhere as it was written.
    """
    present = {info.name: info.size for prefix in _PREFIXES for info in store.list(prefix)}
    keys: dict[str, str] = {name.rpartition("/")[0]: name for name in present if name.startswith(names.RUN_KEYS)}
    there = []
    for name, size in objects.items():
        if present.get(name, _listed(store, name)) == size:
            there.append(name)
        elif name.rpartition("/")[0] in keys:
            there.append(keys[name.rpartition("/")[0]])
        else:
            store.put(name, everywhere.read_needed(name))
            there.append(name)
    return there


def lock_end(store: Store, window: timedelta) -> datetime | None:
    """Return the end of the window, rounded up to a whole day: what many points share is then locked once a day.

    None where the store keeps no locks, or the root has signed no window.
    """
    if not window or not store.keeps_locks:
        return None
    return (store.now() + window).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _foundation(store: Store) -> list[str]:
    """Return what every point needs and none names: configurations, the root key, index keys, passphrases."""
    found = [info.name for prefix in (names.CONFIGURATION, names.KEYS) for info in store.list(f"{prefix}/")]
    return [name for name in found if not name.startswith(_OF_RUNS)]


def _listed(store: Store, name: str) -> int | None:
    """Return the size of an object outside the four large prefixes; those were listed whole."""
    if name.startswith(_PREFIXES):
        return None
    found = next((info for info in store.list(name) if info.name == name), None)
    return found.size if found else None
