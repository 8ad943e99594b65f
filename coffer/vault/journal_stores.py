"""Shipments in several stores: put, and completed where a store was away."""

from __future__ import annotations

from coffer.errors import CofferError, IntegrityError, NotInEveryStore
from coffer.vault import journal, key_objects, names
from coffer.vault.completion import lock_end
from coffer.vault.configuration import Configuration
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.runs import Run
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.protocol import Store
from coffer.vault.wal import PlacedRuns

_RUNS = f"{names.KEYS}/{key_objects.WAL}-"


def put(
    stores: StoreSet, configuration: Configuration, run: Run, shipment: tuple[str, bytes], placed: PlacedRuns
) -> None:
    """Put a shipment and the key of its run into every store; see `VaultWriter.ship`."""
    failures: dict[str, CofferError] = {}
    for store in stores.stores:
        try:
            placed.ensure(store, run)
            store.put(*shipment)
            _lock(store, configuration, [run.name, shipment[0]])
        except IntegrityError:
            raise
        except CofferError as error:
            failures[store.url] = error
    _judge(stores, failures)


def complete(stores: StoreSet, configuration: Configuration, service: str, source: str) -> int:
    """Copy shipments into stores that lack them; see `VaultWriter.complete_shipments`."""
    there = journal.find(stores, service, source, None, None)
    brought = 0
    failures: dict[str, CofferError] = {}
    for store in stores.stores:
        try:
            present = {info.name for info in store.list(journal.folder(service, source) + "/")}
            lacking = [name for name in there if name not in present]
            if lacking:
                _bring(stores, store, configuration, lacking)
                brought += len(lacking)
        except CofferError as error:
            failures[store.url] = error
    _judge(stores, failures)
    return brought


def _bring(stores: StoreSet, store: Store, configuration: Configuration, lacking: list[str]) -> None:
    """Keys first: a shipment whose key is nowhere beside it could not be opened from this store alone."""
    places = {info.name.rpartition("/")[0] for info in store.list(_RUNS)}
    keys = [name for name in stores.names(_RUNS) if name.rpartition("/")[0] not in places]
    for name in (*keys, *lacking):
        store.put(name, stores.read(name))
    _lock(store, configuration, [*keys, *lacking])


def _lock(store: Store, configuration: Configuration, wanted: list[str]) -> None:
    until = lock_end(store, RetentionPolicy.signed(configuration.retention).window)
    if until is not None:
        store.lock(wanted, until)


def _judge(stores: StoreSet, failures: dict[str, CofferError]) -> None:
    if len(failures) == len(stores.stores):
        raise gravest(list(failures.values()))
    if failures:
        detail = "; ".join(f"{url}: {error}" for url, error in failures.items())
        raise NotInEveryStore("Shipped files are not in every store", detail=detail)
