"""What becomes of everything that no kept point needs: it goes, waits, is to be marked, or is too young."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coffer.vault import names
from coffer.vault.marks import Mark
from coffer.vault.needs import Needs
from coffer.vault.prune_plan import Going, ListedPoint, PrunePlan
from coffer.vault.stores.protocol import ObjectInfo

_BY_PLACE = (f"{names.LISTS}/", f"{names.PROOFS}/", f"{names.POINTS}/")


@dataclass(frozen=True)
class Sorting:
    """Sorts objects; pure.

    Attributes:
        contents: What each store holds, by address and name.
        times: The time by each store's clock.
        marks: The marks.
        grace: How long a mark stands, and what nothing names lies.
    """

    contents: Mapping[str, Mapping[str, ObjectInfo]]
    times: Mapping[str, datetime]
    marks: Sequence[Mark]
    grace: timedelta

    def complete(self, plan: PrunePlan, kept: Sequence[ListedPoint], expired: Sequence[ListedPoint]) -> PrunePlan:
        """Return the plan with what is to be done to objects."""
        marked = frozenset[str]().union(*(mark.names for mark in self.marks))
        ripe = frozenset[str]().union(*(mark.names for mark in self.marks if mark.ripe))
        going = [each for each in expired if ripe.issuperset(each.manifests)]
        needed = self._needs(kept)
        # What waits must still be whole: until its manifest is gone it is a point.
        present = self._needs([each for each in (*kept, *expired) if each not in going])
        places = {each.place for each in going}
        sweep: dict[str, list[ObjectInfo]] = {}
        waiting: dict[str, datetime] = {}
        fresh: dict[str, int] = {}
        young = 0
        for url, listing in self.contents.items():
            for name, info in listing.items():
                if needed.hold(info):
                    continue
                held = present.hold(info)
                if not held and not _is_in(info, places) and info.modified > self.times[url] - self.grace:
                    young += 1
                elif name in ripe and not held:
                    sweep.setdefault(url, []).append(info)
                elif name in marked:
                    waiting[name] = max(mark.ripe_at for mark in self.marks if name in mark.names)
                else:
                    fresh[name] = fresh.get(name, 0) + info.size
        points = [_going(each) for each in going]
        spent = [*plan.spent, *self._spent(needed)]
        return replace(plan, going=points, sweep=sweep, waiting=waiting, fresh=fresh, young=young, spent=spent)

    def _needs(self, points: Sequence[ListedPoint]) -> Needs:
        return Needs([each.record for each in points if each.record], self.grace)

    def _spent(self, needed: Needs) -> list[str]:
        """Return marks of which nothing is left to remove, a grace period after they were ripe.

        They stay as long as that so that a copy of what they named, made meanwhile, is known for what it is.
        """
        left = {name for listing in self.contents.values() for name, info in listing.items() if not needed.hold(info)}
        latest = min(self.times.values()) - self.grace
        return [mark.name for mark in self.marks if mark.ripe and mark.ripe_at <= latest and not mark.names & left]


def _is_in(info: ObjectInfo, places: set[str]) -> bool:
    """Tell whether an object stands in the place of a point that goes: its list and proofs are no run's."""
    return info.name.startswith(_BY_PLACE) and info.name.rpartition("/")[0].partition("/")[2] in places


def _going(point: ListedPoint) -> Going:
    needs = frozenset(name for name, _ in point.record.objects) if point.record else frozenset()
    return Going(point.place, point.manifests, needs)
