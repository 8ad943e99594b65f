"""Which points there are, as a prune sees them: without keys, by signed lists; and what is known of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from coffer.errors import IntegrityError
from coffer.vault import names, points
from coffer.vault.configuration import Configuration
from coffer.vault.points import ObjectList
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.prune_plan import ListedPoint
from coffer.vault.retention import Candidate
from coffer.vault.store_set import StoreSet


def list_points(
    stores: StoreSet, configuration: Configuration, everything: Sequence[str], marked: Collection[str]
) -> list[ListedPoint]:
    """Return every point with its list.

    Args:
        stores: All stores.
        configuration: Whose writers to believe.
        everything: Names of all objects, sorted.
        marked: Names of those that are marked.

    Raises:
        IntegrityError: A list is missing or not genuine, of a point that no prune has begun to remove; or someone has
            hidden a point, so that what it needs would seem to be needed by nobody.
    """
    _check_hidden(stores, everything)
    manifests, listings = _by_place(everything, names.POINTS), _by_place(everything, names.LISTS)
    found = []
    for place, mine in manifests.items():
        lists = listings.get(place, [])
        if lists:
            found.append(ListedPoint(place, tuple(mine), _joined(stores, configuration, lists)))
        elif set(marked).issuperset(mine):
            found.append(ListedPoint(place, tuple(mine), None))
        else:
            raise IntegrityError("A point's list is missing", detail=place, resolution="Mend the vault before pruning")
    return found


def candidate(point: ListedPoint, record: ObjectList, ledger: ProofLedger) -> Candidate:
    """Return a point as retention sees it."""
    known = [ledger.of(record.service, record.name, manifest) for manifest in point.manifests]
    return Candidate(
        record.service,
        record.name,
        record.counter,
        points.from_ns(record.started_ns),
        proven=max(each.proven for each in known),
        damaged=bool(record.damage) or any(each.damaged for each in known),
    )


def _joined(stores: StoreSet, configuration: Configuration, lists: Sequence[str]) -> ObjectList:
    """Return what any list in a point's place names: which one its manifest means, is sealed."""
    records = [points.open_list(configuration, name, stores.read(name)) for name in lists]
    objects = {name: size for record in records for name, size in record.objects}
    damage = "; ".join(sorted({record.damage for record in records if record.damage}))
    return msgspec.structs.replace(records[0], objects=sorted(objects.items()), damage=damage)


def _check_hidden(stores: StoreSet, everything: Sequence[str]) -> None:
    prefixes = (f"{names.POINTS}/", f"{names.CONFIGURATION}/")
    hidden = {name for store in stores.stores for prefix in prefixes for name in store.hidden(prefix)}
    if hidden.difference(everything):
        raise IntegrityError(
            "A point or configuration is hidden behind a delete marker: someone tampered with the store",
            detail=", ".join(sorted(hidden)[:3]),
            resolution="Remove the marker before pruning",
        )


def _by_place(everything: Sequence[str], prefix: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in everything:
        if name.startswith(f"{prefix}/"):
            found.setdefault(name.rpartition("/")[0].partition("/")[2], []).append(name)
    return found
