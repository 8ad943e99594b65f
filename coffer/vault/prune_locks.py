"""Locks and prune: what they hold, and which of them must be made longer because their point stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from coffer.errors import NotThere
from coffer.vault import retention
from coffer.vault.needs import OF_POINTS, Needs
from coffer.vault.prune_plan import ListedPoint, LockExtension
from coffer.vault.retention import Candidate, RetentionPolicy
from coffer.vault.stores.protocol import ObjectInfo, Store


def locked_until(
    stores: Sequence[Store], contents: Mapping[str, Mapping[str, ObjectInfo]], point: ListedPoint
) -> datetime | None:
    """Return until when some store refuses to remove a point's manifest."""
    found = [
        until
        for store in stores
        if store.keeps_locks
        for name in point.manifests
        if name in contents[store.url] and (until := _until(store, name)) is not None
    ]
    return max(found, default=None)


def extensions(
    stores: Sequence[Store],
    contents: Mapping[str, Mapping[str, ObjectInfo]],
    kept: Sequence[ListedPoint],
    candidates: Sequence[Candidate],
    policy: RetentionPolicy,
    now: datetime,
) -> list[LockExtension]:
    """Return the locks that end before their points' time does, for each store.

    A writer locks what a point names for as long as the window is. A point that other rules keep for longer gets a
    quarter of that at a time; one that will be let go within that time gets nothing more, so that it can go then.
    """
    step = policy.window / 4
    if not step:
        return []
    later = retention.decide(candidates, policy, now + step)
    staying = {f"{each.point.service}/{each.point.name}" for each in later.verdicts if each.keep and not each.held}
    points = [each for each in kept if each.place in staying]
    found = []
    for store in (each for each in stores if each.keeps_locks):
        # One look a point: all that it names was locked for at least as long as its manifest.
        short = [each for each in points if _soonest(store, each, now) < now + step / 2]
        if short:
            needs = Needs([each.record for each in short if each.record], policy.grace)
            listing = contents[store.url]
            names_ = tuple(name for name in sorted(listing) if name.startswith(OF_POINTS) and needs.hold(listing[name]))
            found.append(LockExtension(store.url, names_, now + step))
    return found


def _soonest(store: Store, point: ListedPoint, now: datetime) -> datetime:
    return min((_until(store, name) or now for name in point.manifests), default=now)


def _until(store: Store, name: str) -> datetime | None:
    try:
        return store.locked_until(name)
    except NotThere:
        return None
