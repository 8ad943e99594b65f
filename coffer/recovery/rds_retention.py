"""Snapshots live as long as the points that name them: the vault's retention is theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coffer.errors import CofferError, NotThere
from coffer.sources.rds.client import RdsRegion, code_of
from coffer.sources.rds.snapshots import own_snapshots
from coffer.vault.capture import Fact

_GRACE = timedelta(days=1)
_BUSY = "InvalidDBSnapshotState"


@dataclass(frozen=True)
class Unneeded:
    """A snapshot that no point names any more.

    Attributes:
        id: Its identifier.
        region: Where it is.
        created: When it was made.
    """

    id: str
    region: str
    created: datetime


def snapshots_of(facts: Iterable[object]) -> set[str]:
    """Return the full names of all snapshots that the facts of `rds` captures name, in any region."""
    named: set[str] = set()
    for each in facts:
        listed: Fact | object = each.get("snapshots") if isinstance(each, dict) else None
        for snapshot in listed if isinstance(listed, list) else ():
            arn = snapshot.get("arn") if isinstance(snapshot, dict) else None
            if isinstance(arn, str):
                named.add(arn)
    return named


def find_unneeded(
    regions: Iterable[RdsRegion],
    instance: str,
    named: set[str],
    *,
    now: datetime | None = None,
    grace: timedelta = _GRACE,
) -> list[Unneeded]:
    """Return Coffer's snapshots of an instance that no point names, oldest first.

    Args:
        regions: Where to look.
        instance: Whose snapshots.
        named: Full names that points which are kept name; see `snapshots_of`.
        now: The time.
        grace: Younger ones are left alone: their point may be about to be committed.
    """
    before = (now or datetime.now(UTC)) - grace
    found = [
        Unneeded(each["DBSnapshotIdentifier"], rds.region, each["SnapshotCreateTime"])
        for rds in regions
        for each in own_snapshots(rds, instance)
        if each["DBSnapshotArn"] not in named and each["SnapshotCreateTime"] < before
    ]
    return sorted(found, key=lambda each: each.created)


def remove_snapshots(regions: Iterable[RdsRegion], unneeded: Iterable[Unneeded]) -> list[Unneeded]:
    """Remove snapshots; what is gone already counts as removed, what is being copied is left for the next time.

    Returns:
        Those that are removed.

    Raises:
        CofferError: RDS refused or failed; asked again, it goes on with the rest.
    """
    by_name = {rds.region: rds for rds in regions}
    removed = []
    for each in unneeded:
        try:
            by_name[each.region].ask("delete_db_snapshot", DBSnapshotIdentifier=each.id)
        except NotThere:
            removed.append(each)
        except CofferError as error:
            if code_of(error) != _BUSY:
                raise
        else:
            removed.append(each)
    return removed
