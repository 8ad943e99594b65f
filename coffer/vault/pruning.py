"""Removes points that no rule keeps and objects that no point names: first a plan, then the act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coffer.errors import IntegrityError, RefusedByPolicy
from coffer.keys import PrunerCredentials
from coffer.vault import configuration as configurations
from coffer.vault import names, points, retention
from coffer.vault.configuration import Configuration
from coffer.vault.points import ObjectList
from coffer.vault.retention import Candidate, RetentionPolicy, Verdict
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.protocol import ObjectInfo, Store

_PRUNED = (f"{names.PACKS}/", f"{names.TREES}/", f"{names.INDEX}/", f"{names.KEYS}/run-", f"{names.LISTS}/")
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class PrunePlan:
    """What would be removed from where.

    Attributes:
        verdicts: Each point with keep or remove and the reason, oldest first.
        points: Manifests to remove, by store: they go first, so that no point ever lacks what it names.
        objects: Everything else to remove, by store.
        before: What is younger than this is left alone.
        young: Objects that nothing names but that are within the grace period.
        bytes: Bytes that go, each store counted.
    """

    verdicts: list[Verdict]
    before: datetime
    points: dict[str, list[str]] = field(default_factory=dict)
    objects: dict[str, list[str]] = field(default_factory=dict)
    young: int = 0
    bytes: int = 0

    @property
    def count(self) -> int:
        """How many objects go, each store counted."""
        return sum(len(found) for by_store in (self.points, self.objects) for found in by_store.values())


def plan_prune(stores: Sequence[Store], pruner: PrunerCredentials, policy: RetentionPolicy, now: datetime) -> PrunePlan:
    """Decide what to remove; touches nothing and needs no key: signed lists say what points need.

    Raises:
        IntegrityError: A point's list is missing or not genuine: then nothing may be removed.
        RefusedByPolicy: The clock runs behind the stores'.
        NoVault: There is no vault.
        Unreachable: A store does not answer.
    """
    together = StoreSet(stores)
    configuration = configurations.load(together, root=pruner.root, vault=pruner.vault)
    contents = {store.url: list(store.list()) for store in stores}
    _check_clock(contents, now)
    records = _read_lists(together, configuration, contents)
    verdicts = retention.decide([_candidate(record) for record in records], policy, now)
    keep = {(verdict.point.service, verdict.point.name) for verdict in verdicts if verdict.keep}
    kept = [record for record in records if (record.service, record.name) in keep]
    grace = timedelta(hours=policy.grace_hours)
    return _make_plan(verdicts, _Needs(kept, grace), contents, now - grace)


def execute(plan: PrunePlan, stores: Sequence[Store]) -> None:
    """Do what a plan says; running it again is harmless.

    Raises:
        RefusedByPolicy: A lock holds an object, or this identity may not delete.
        Unreachable: A store does not answer.
    """
    for found in (plan.points, plan.objects):
        for store in stores:
            for name in found.get(store.url, []):
                store.delete(name)
    for store in stores:
        if isinstance(store, FileStore):
            store.sweep(plan.before)


class _Needs:
    """What the kept points need, and what is never pruned."""

    def __init__(self, kept: Sequence[ObjectList], grace: timedelta) -> None:
        self._objects = {name for record in kept for name, _ in record.objects}
        self._keys = {name.rpartition("/")[0] for name in self._objects if name.startswith(f"{names.KEYS}/")}
        self._places = {f"{record.service}/{record.name}" for record in kept}
        oldest = min((points.from_ns(record.started_ns) for record in kept), default=None)
        self._wal_before = oldest - max(grace, _SKEW) if oldest else None

    def hold(self, info: ObjectInfo) -> bool:
        """Tell whether an object must stay."""
        place = info.name.rpartition("/")[0]
        if place.startswith((f"{names.POINTS}/", f"{names.LISTS}/")):
            return place.partition("/")[2] in self._places
        if place.startswith(f"{names.WAL}/"):
            return not self._is_old_wal(info)
        return info.name in self._objects or place in self._keys or not info.name.startswith(_PRUNED)

    def _is_old_wal(self, info: ObjectInfo) -> bool:
        """WAL that was put well before the oldest kept point began ends before its start; histories always stay."""
        is_history = info.name.split("/")[2].endswith(".history")
        return not is_history and self._wal_before is not None and info.modified < self._wal_before


def _make_plan(
    verdicts: list[Verdict], needs: _Needs, contents: dict[str, list[ObjectInfo]], before: datetime
) -> PrunePlan:
    manifests: dict[str, list[str]] = {}
    objects: dict[str, list[str]] = {}
    young = size = 0
    for url, listing in contents.items():
        for info in (each for each in listing if not needs.hold(each)):
            if info.name.startswith(f"{names.POINTS}/"):
                manifests.setdefault(url, []).append(info.name)
            elif info.modified > before:
                young += 1
                continue
            else:
                objects.setdefault(url, []).append(info.name)
            size += info.size
    return PrunePlan(verdicts, before, manifests, objects, young, size)


def _read_lists(
    together: StoreSet, configuration: Configuration, contents: dict[str, list[ObjectInfo]]
) -> list[ObjectList]:
    everything = {info.name for listing in contents.values() for info in listing}
    records = []
    for place in sorted({name.rpartition("/")[0] for name in everything if name.startswith(f"{names.POINTS}/")}):
        folder = place.replace(names.POINTS, names.LISTS, 1) + "/"
        listing = next((name for name in everything if name.startswith(folder)), None)
        if listing is None:
            raise IntegrityError("A point's list is missing", detail=place, resolution="Mend the vault before pruning")
        records.append(points.open_list(configuration, listing, together.read(listing)))
    return records


def _check_clock(contents: dict[str, list[ObjectInfo]], now: datetime) -> None:
    newest = max((info.modified for listing in contents.values() for info in listing), default=now)
    if newest - now > _SKEW:
        raise RefusedByPolicy(
            "The clock runs behind the store's", detail=f"by {newest - now}", resolution="Set the clock"
        )


def _candidate(record: ObjectList) -> Candidate:
    return Candidate(record.service, record.name, record.counter, points.from_ns(record.started_ns))
