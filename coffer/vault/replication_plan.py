"""What a copy of a vault must hold: its keys, configurations, WAL and shipments, and all that each point names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from coffer.errors import CofferError, IntegrityError
from coffer.vault import names, points
from coffer.vault.configuration import Configuration
from coffer.vault.store_set import StoreSet

_ALWAYS = (names.KEYS, names.CONFIGURATION, names.WAL, names.JOURNAL)


@dataclass(frozen=True)
class WantedPoint:
    """A point that can be copied.

    Attributes:
        name: The point's name.
        started: When its capture began: it is kept, and so locked, from then on.
        needed: Names of all that it needs, its list last.
        manifests: Names of its manifest.
        proofs: Names of what it has passed.
    """

    name: str
    started: datetime
    needed: list[str]
    manifests: list[str]
    proofs: list[str]


@dataclass
class ReplicationPlan:
    """What the sources hold, and what of it belongs into a copy.

    Attributes:
        sizes: Size of every object of the sources, by name.
        always: What every copy needs whatever points it has.
        points: Points, the newest first: it is the one that is missed most.
        problems: Points that cannot be copied, and why.
    """

    sizes: dict[str, int]
    always: list[str] = field(default_factory=list)
    points: list[WantedPoint] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def wanted(self) -> Iterator[str]:
        """Walk all names that belong into a copy; what points share comes more than once."""
        yield from self.always
        for point in self.points:
            yield from (*point.needed, *point.manifests, *point.proofs)


def make_plan(sources: StoreSet, configuration: Configuration) -> ReplicationPlan:
    """Look through the sources. Marks stay: what a prune wants to remove there is no matter of the copy.

    Raises:
        Unreachable: No source answers.
    """
    plan = ReplicationPlan(sources.sizes(""))
    for prefix in _ALWAYS:
        plan.always += sorted(name for name in plan.sizes if name.startswith(f"{prefix}/"))
    places = _by_place(plan.sizes)
    ordered: list[tuple[int, WantedPoint]] = []
    for place in (each for each in places if each.startswith(f"{names.POINTS}/")):
        try:
            ordered.append(_read_point(sources, configuration, places, place))
        except CofferError as error:
            plan.problems.append(f"{place}: {error}")
    plan.points = [point for _, point in sorted(ordered, key=lambda each: each[0], reverse=True)]
    return plan


def _read_point(
    sources: StoreSet, configuration: Configuration, places: dict[str, list[str]], place: str
) -> tuple[int, WantedPoint]:
    _, service, name = place.split("/", 2)
    lists = places.get(points.folder(names.LISTS, service, name), [])
    if not lists:
        raise IntegrityError("Its list is missing", detail="nobody can tell without keys what it needs")
    record = points.open_list(configuration, lists[0], sources.read(lists[0]))
    needed = [each for each, _ in record.objects if not each.startswith(f"{names.KEYS}/")]
    keys = {each.rpartition("/")[0] for each, _ in record.objects if each.startswith(f"{names.KEYS}/")}
    for key in sorted(keys):  # one that was wrapped anew stands in the same place under another name
        if key not in places:
            raise IntegrityError("A key that it needs is missing", detail=key)
        needed += places[key]
    proofs = places.get(points.folder(names.PROOFS, service, name), [])
    wanted = WantedPoint(name, points.from_ns(record.started_ns), [*needed, *lists], places[place], proofs)
    return record.started_ns, wanted


def _by_place(sizes: dict[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(sizes):
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found
