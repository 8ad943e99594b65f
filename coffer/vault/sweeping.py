"""The act of a prune: manifests go first, then what they named; then what is to go next is marked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from coffer.errors import NotThere, RefusedByPolicy
from coffer.vault import marks, names
from coffer.vault.prune_plan import LockExtension, PrunePlan, PruneReport
from coffer.vault.stores.protocol import ObjectInfo, Store

_THREADS = 16
_FEW = 64


class Sweep:
    """One run of it."""

    def __init__(self, plan: PrunePlan, stores: Sequence[Store]) -> None:
        self._plan = plan
        self._stores = stores
        self._report = PruneReport()
        self._sizes = {(url, info.name): info.size for url, found in plan.sweep.items() for info in found}

    def run(self) -> PruneReport:
        """Do it."""
        spared = self._remove_points()
        for store in self._stores:
            going = [info for info in self._plan.sweep.get(store.url, ()) if not _is_manifest(info)]
            self._remove(store, [info.name for info in going if info.name not in spared])
        self._mark()
        for store in self._stores:
            for name in self._plan.spent:
                self._delete(store, name)
            for extension in self._plan.extensions:
                if extension.store == store.url:
                    self._extend(store, extension)
            store.sweep(self._plan.now - self._plan.policy.grace)
        return self._report

    def _remove_points(self) -> set[str]:
        """Remove manifests from every store; what a point needs stays where one of them would not go."""
        spared: set[str] = set()
        for point in self._plan.going:
            gone = [self._remove(store, point.manifests) for store in self._stores]
            if all(gone):
                self._report.points.append(point.place)
            else:
                spared |= point.needs
                spared |= {
                    info.name
                    for found in self._plan.sweep.values()
                    for info in found
                    if info.name.startswith(f"{names.LISTS}/{point.place}/")
                }
        return spared

    def _remove(self, store: Store, going: Sequence[str]) -> bool:
        """Remove objects from a store; tell whether all of them are gone."""
        if len(going) < _FEW:
            return all([self._delete(store, name) for name in going])  # noqa: C419 - every one is tried
        with ThreadPoolExecutor(_THREADS) as pool:
            return all(list(pool.map(lambda name: self._delete(store, name), going)))

    def _delete(self, store: Store, name: str) -> bool:
        try:
            store.delete(name)
        except RefusedByPolicy:
            until = _locked_until(store, name)
            if until is None:
                raise
            self._report.locked[store.url, name] = until
            return False
        size = self._sizes.pop((store.url, name), None)
        if size is not None:
            self._report.objects += 1
            self._report.bytes += size
        return True

    def _mark(self) -> None:
        """Complete marks that a prune which was killed left in some stores only, and put a new one."""
        for mark in self._plan.incomplete:
            for store in mark.lacking:
                store.put(mark.name, mark.data)
        if self._plan.fresh:
            named = marks.seal(self._plan.vault, self._plan.fresh, self._plan.now)
            for store in self._stores:
                store.put(*named)
            self._report.marked = len(self._plan.fresh)

    def _extend(self, store: Store, extension: LockExtension) -> None:
        store.lock(extension.names, extension.until)
        self._report.extended += len(extension.names)


def _is_manifest(info: ObjectInfo) -> bool:
    return info.name.startswith(f"{names.POINTS}/")


def _locked_until(store: Store, name: str) -> datetime | None:
    try:
        until = store.locked_until(name)
    except NotThere:
        return None
    return until if until is not None and until > store.now() else None
