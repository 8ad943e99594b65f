"""Removes points that no rule keeps and objects that no point names: mark, wait, sweep. First a plan, then the act.

Nothing goes that was not marked a grace period ago, by the clock of the store that got the mark last. `PruneGuard`
says why a writer that works meanwhile loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from coffer.keys import PrunerCredentials
from coffer.vault import clocks, marks, proof_ledger, retention
from coffer.vault import configuration as configurations
from coffer.vault.known_heads import KnownHeads
from coffer.vault.needs import date_wal
from coffer.vault.prune_listing import candidate, list_points
from coffer.vault.prune_locks import extensions, locked_until
from coffer.vault.prune_plan import ListedPoint, PrunePlan, PruneReport
from coffer.vault.prune_sorting import Sorting
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
    """Decide what to mark and what to remove; touches no store and needs no key: signed lists say what points need.

    Args:
        stores: All stores of the vault; every one must answer.
        pruner: Which vault, and whose configuration to believe.
        policy: What to keep beyond what the root signed; it never makes less be kept.
        now: This host's clock, which is compared with the stores'; ages count by theirs.

    Raises:
        IntegrityError: A point's list is missing or not genuine, a point or a configuration is hidden, or the
            configuration was set back: then nothing may be removed.
        RefusedByPolicy: The clock is off by more than five minutes.
        NoVault: There is no vault.
        Unreachable: A store does not answer.
    """
    together = StoreSet(stores)
    heads = KnownHeads(pruner.path, pruner.vault)
    configuration = configurations.load(together, root=pruner.root, least=heads.configuration, vault=pruner.vault)
    heads.remember([], configuration.number)
    times = clocks.read(stores)
    clocks.check(times, now or datetime.now(UTC))
    signed = RetentionPolicy.signed(configuration.retention)
    rules = signed.at_least(policy) if policy else signed
    contents = date_wal({store.url: {info.name: info for info in store.list()} for store in stores})
    found, unreadable = marks.find(together, configuration.vault, contents, times, rules.grace)
    everything = sorted({name for listing in contents.values() for name in listing})
    marked = frozenset[str]().union(*(mark.names for mark in found))
    listed = list_points(together, configuration, everything, marked)
    ledger = proof_ledger.read(together, configuration, everything)
    candidates = [candidate(each, each.record, ledger) for each in listed if each.record]
    moment = min(times.values())
    decision = _decide(stores, contents, listed, candidates, rules, moment)
    staying = {f"{each.point.service}/{each.point.name}" for each in decision.verdicts if each.keep}
    kept = [each for each in listed if each.place in staying]
    plan = PrunePlan(
        vault=configuration.vault,
        policy=rules,
        verdicts=decision.verdicts,
        refusals=decision.refusals,
        now=moment,
        incomplete=[mark for mark in found if mark.lacking],
        spent=unreadable,
        extensions=extensions(stores, contents, kept, candidates, rules, moment),
        notes=[*ledger.notes, *(f"not read, and removed: {name}" for name in unreadable)],
    )
    expired = [each for each in listed if each.place not in staying]
    return Sorting(contents, times, found, rules.grace).complete(plan, kept, expired)


def execute(plan: PrunePlan, stores: Sequence[Store]) -> PruneReport:
    """Do what a plan says; running it again is harmless. What a lock holds stays, and is reported.

    Raises:
        RefusedByPolicy: This identity may not delete.
        Unreachable: A store does not answer.
    """
    return Sweep(plan, stores).run()


def _decide(
    stores: Sequence[Store],
    contents: _Contents,
    listed: Sequence[ListedPoint],
    candidates: Sequence[Candidate],
    rules: RetentionPolicy,
    now: datetime,
) -> Decision:
    """Decide by the rules; ask for the locks of those that would go, and decide again."""
    first = retention.decide(candidates, rules, now)
    going = {f"{each.point.service}/{each.point.name}" for each in first.verdicts if not each.keep}
    locks = {each.place: locked_until(stores, contents, each) for each in listed if each.place in going}
    if not any(locks.values()):
        return first
    known = [replace(each, locked_until=locks.get(f"{each.service}/{each.name}")) for each in candidates]
    return retention.decide(known, rules, now)
