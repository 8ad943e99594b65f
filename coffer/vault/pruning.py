"""Removes points that no rule keeps and objects that no point names: mark, wait, sweep. First a plan, then the act.

Nothing goes that was not marked a grace period ago, by the clock of the store that got the mark last. `PruneGuard`
says why a writer that works meanwhile loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from coffer.errors import IntegrityError
from coffer.keys import PrunerCredentials
from coffer.vault import clocks, marks, names, points, proof_ledger, retention
from coffer.vault import configuration as configurations
from coffer.vault.configuration import Configuration
from coffer.vault.marks import Mark
from coffer.vault.needs import Needs, date_wal
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.prune_locks import extensions, locked_until
from coffer.vault.prune_plan import Going, ListedPoint, PrunePlan, PruneReport
from coffer.vault.retention import Candidate, Decision, RetentionPolicy
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import ObjectInfo, Store
from coffer.vault.sweeping import Sweep

__all__ = ["PrunePlan", "PruneReport", "execute", "plan_prune"]
_Contents = Mapping[str, Mapping[str, ObjectInfo]]


def plan_prune(
    stores: Sequence[Store],
    pruner: PrunerCredentials,
    policy: RetentionPolicy | None = None,
    now: datetime | None = None,
) -> PrunePlan:
    """Decide what to mark and what to remove; touches nothing and needs no key: signed lists say what points need.

    Args:
        stores: All stores of the vault; every one must answer.
        pruner: Which vault, and whose configuration to believe.
        policy: What to keep beyond what the root signed; it never makes less be kept.
        now: This host's clock, which is compared with the stores'; ages count by theirs.

    Raises:
        IntegrityError: A point's list is missing or not genuine, or a point is hidden: then nothing may be removed.
        RefusedByPolicy: The clock is off by more than five minutes.
        NoVault: There is no vault.
        Unreachable: A store does not answer.
    """
    together = StoreSet(stores)
    configuration = configurations.load(together, root=pruner.root, vault=pruner.vault)
    times = clocks.read(stores)
    clocks.check(times, now or datetime.now(UTC))
    signed = RetentionPolicy.signed(configuration.retention)
    rules = signed.at_least(policy) if policy else signed
    contents = date_wal({store.url: {info.name: info for info in store.list()} for store in stores})
    found, unreadable = marks.find(together, configuration.vault, contents, times, rules.grace)
    return _Planning(together, configuration, rules, times, contents, found, unreadable).plan()


def execute(plan: PrunePlan, stores: Sequence[Store]) -> PruneReport:
    """Do what a plan says; running it again is harmless. What a lock holds stays, and is reported.

    Raises:
        RefusedByPolicy: This identity may not delete.
        Unreachable: A store does not answer.
    """
    return Sweep(plan, stores).run()


@dataclass
class _Planning:
    """One plan in the making."""

    stores: StoreSet
    configuration: Configuration
    rules: RetentionPolicy
    times: Mapping[str, datetime]
    contents: _Contents
    marks: list[Mark]
    unreadable: list[str]

    def plan(self) -> PrunePlan:
        now = min(self.times.values())
        listed = self._listed()
        ledger = proof_ledger.read(self.stores, self.configuration, self._everything())
        candidates = [_candidate(each, ledger) for each in listed if each.record]
        decision = self._decide(candidates, listed, now)
        staying = {f"{each.point.service}/{each.point.name}" for each in decision.verdicts if each.keep}
        kept = [each for each in listed if each.place in staying]
        expired = [each for each in listed if each.place not in staying]
        plan = PrunePlan(
            vault=self.configuration.vault,
            policy=self.rules,
            verdicts=decision.verdicts,
            refusals=decision.refusals,
            now=now,
            incomplete=[mark for mark in self.marks if mark.lacking],
            extensions=extensions(self.stores.stores, self.contents, kept, candidates, self.rules, now),
            notes=[*ledger.notes, *(f"not read, and removed: {name}" for name in self.unreadable)],
        )
        return self._sort(plan, kept, expired)

    def _decide(self, candidates: list[Candidate], listed: list[ListedPoint], now: datetime) -> Decision:
        """Decide by the rules; ask for the locks of those that would go, and decide again."""
        first = retention.decide(candidates, self.rules, now)
        going = {f"{each.point.service}/{each.point.name}" for each in first.verdicts if not each.keep}
        locks = {
            each.place: locked_until(self.stores.stores, self.contents, each) for each in listed if each.place in going
        }
        if not any(locks.values()):
            return first
        known = [replace(each, locked_until=locks.get(f"{each.service}/{each.name}")) for each in candidates]
        return retention.decide(known, self.rules, now)

    def _sort(self, plan: PrunePlan, kept: list[ListedPoint], expired: list[ListedPoint]) -> PrunePlan:
        """Sort everything that no kept point needs: to go, waiting, to be marked, too young."""
        marked = frozenset[str]().union(*(mark.names for mark in self.marks))
        ripe = frozenset[str]().union(*(mark.names for mark in self.marks if mark.ripe))
        going = [each for each in expired if ripe.issuperset(each.manifests)]
        grace = self.rules.grace
        needed = Needs([each.record for each in kept if each.record], grace)
        # What waits must still be whole: until its manifest is gone it is a point.
        present = Needs([each.record for each in (*kept, *expired) if each.record and each not in going], grace)
        sweep: dict[str, list[ObjectInfo]] = {}
        waiting: dict[str, datetime] = {}
        fresh: dict[str, int] = {}
        young = 0
        for url, listing in self.contents.items():
            for name, info in listing.items():
                if needed.hold(info):
                    continue
                if not present.hold(info) and not self._is_of(info, going) and info.modified > self.times[url] - grace:
                    young += 1
                elif name in ripe and not present.hold(info):
                    sweep.setdefault(url, []).append(info)
                elif name in marked:
                    waiting[name] = max(mark.ripe_at for mark in self.marks if name in mark.names)
                else:
                    fresh[name] = fresh.get(name, 0) + info.size
        return replace(
            plan,
            going=[_going(each) for each in going],
            sweep=sweep,
            waiting=waiting,
            fresh=fresh,
            young=young,
            spent=[*self.unreadable, *self._spent(needed)],
        )

    def _is_of(self, info: ObjectInfo, going: Sequence[ListedPoint]) -> bool:
        """Tell whether an object stands in the place of a point that goes: its list and proofs are no run's."""
        return info.name.startswith((f"{names.LISTS}/", f"{names.PROOFS}/", f"{names.POINTS}/")) and any(
            info.name.rpartition("/")[0].partition("/")[2] == each.place for each in going
        )

    def _spent(self, needed: Needs) -> list[str]:
        """Return marks of which nothing is left to remove, a grace period after they were ripe.

        They stay as long as that so that a copy of what they named, made meanwhile, is known for what it is.
        """
        left = {name for listing in self.contents.values() for name, info in listing.items() if not needed.hold(info)}
        latest = min(self.times.values()) - self.rules.grace
        return [mark.name for mark in self.marks if mark.ripe and mark.ripe_at <= latest and not mark.names & left]

    def _everything(self) -> set[str]:
        return {name for listing in self.contents.values() for name in listing}

    def _listed(self) -> list[ListedPoint]:
        """Return every point with its list.

        Raises:
            IntegrityError: A list is missing or not genuine, of a point that no prune has begun to remove; or someone
                has hidden a point, so that what it needs would seem to be needed by nobody.
        """
        everything = sorted(self._everything())
        hidden = {name for store in self.stores.stores for name in store.hidden(f"{names.POINTS}/")}
        if hidden.difference(everything):
            raise IntegrityError(
                "A point is hidden behind a delete marker: someone tampered with the store",
                detail=", ".join(sorted(hidden)[:3]),
                resolution="Remove the marker before pruning",
            )
        marked = frozenset[str]().union(*(mark.names for mark in self.marks))
        manifests: dict[str, list[str]] = {}
        for name in everything:
            if name.startswith(f"{names.POINTS}/"):
                manifests.setdefault(name.rpartition("/")[0].partition("/")[2], []).append(name)
        found = []
        for place, mine in manifests.items():
            folder = f"{names.LISTS}/{place}/"
            listing = next((name for name in everything if name.startswith(folder)), None)
            if listing is not None:
                record = points.open_list(self.configuration, listing, self.stores.read(listing))
                found.append(ListedPoint(place, tuple(mine), record))
            elif marked.issuperset(mine):
                found.append(ListedPoint(place, tuple(mine), None))
            else:
                raise IntegrityError(
                    "A point's list is missing", detail=place, resolution="Mend the vault before pruning"
                )
        return found


def _candidate(point: ListedPoint, ledger: ProofLedger) -> Candidate:
    record = point.record
    assert record is not None, "only points with a list are decided on"  # noqa: S101
    known = [ledger.of(record.service, record.name, manifest) for manifest in point.manifests]
    return Candidate(
        record.service,
        record.name,
        record.counter,
        points.from_ns(record.started_ns),
        proven=max(each.proven for each in known),
        damaged=any(each.damaged for each in known),
    )


def _going(point: ListedPoint) -> Going:
    needs = frozenset(name for name, _ in point.record.objects) if point.record else frozenset()
    return Going(point.place, point.manifests, needs)
