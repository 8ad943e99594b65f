"""What a prune wants to do, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coffer.errors import RefusedByPolicy
from coffer.vault.marks import Mark
from coffer.vault.points import ObjectList
from coffer.vault.retention import Refusal, Verdict
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores.protocol import ObjectInfo


@dataclass(frozen=True)
class Going:
    """A point whose time has come.

    Attributes:
        place: SERVICE/POINT.
        manifests: Names of its manifests.
        needs: Names of all that it needs: if a manifest cannot be removed, that stays too.
    """

    place: str
    manifests: tuple[str, ...]
    needs: frozenset[str]


@dataclass(frozen=True)
class LockExtension:
    """A kept point whose locks end too soon."""

    store: str
    names: tuple[str, ...]
    until: datetime


@dataclass(frozen=True)
class PrunePlan:
    """What would be done.

    Attributes:
        vault: The vault's id.
        policy: The rules: what was asked for, and at least what the root signed.
        verdicts: Each point with keep or remove and the reason, by service, oldest first.
        refusals: Services of which nothing may go, and why.
        now: The time by the stores' clocks, the earliest of them.
        going: Points that go now: marked long enough ago, and no rule keeps them still. Their manifests go first.
        sweep: Everything else that goes now, by store.
        waiting: What an earlier mark names and no mark has named for long enough, and when it may go.
        fresh: What is to be marked now, and its size, each store counted.
        young: Objects that nothing names but that a run in work may have put.
        incomplete: Marks that some store lacks.
        spent: Marks that have done their work, or that do not read.
        kept: Lists of the points that stay.
        extensions: Locks of kept points that end too soon.
        notes: What else there is to say.
    """

    vault: bytes
    policy: RetentionPolicy
    verdicts: list[Verdict]
    refusals: list[Refusal]
    now: datetime
    going: Sequence[Going] = ()
    sweep: Mapping[str, Sequence[ObjectInfo]] = field(default_factory=dict)
    waiting: Mapping[str, datetime] = field(default_factory=dict)
    fresh: Mapping[str, int] = field(default_factory=dict)
    young: int = 0
    incomplete: Sequence[Mark] = ()
    spent: Sequence[str] = ()
    extensions: Sequence[LockExtension] = ()
    notes: Sequence[str] = ()

    @property
    def count(self) -> int:
        """How many objects go now, each store counted."""
        return sum(len(found) for found in self.sweep.values())

    @property
    def bytes(self) -> int:
        """Bytes that go now, each store counted."""
        return sum(info.size for found in self.sweep.values() for info in found)

    @property
    def held(self) -> list[Verdict]:
        """Points that no rule keeps, but a refusal."""
        return [verdict for verdict in self.verdicts if verdict.held]

    def raise_for_refusals(self) -> None:
        """Raise if points were held although no rule keeps them.

        Raises:
            RefusedByPolicy: It says of which services, and why.
        """
        if self.refusals:
            raise RefusedByPolicy(
                f"{len(self.held)} points stay although no rule keeps them",
                detail="; ".join(f"{each.service}: {each.reason}" for each in self.refusals),
                resolution="Prove one: 'coffer verify --identity', 'coffer drill'",
            )


@dataclass
class PruneReport:
    """What was done.

    Attributes:
        points: Places (SERVICE/POINT) of the points that are gone.
        objects: Objects removed, each store counted.
        bytes: Bytes removed.
        marked: Objects that were marked now.
        locked: What a lock holds: the store's address and the name, and until when.
        extended: Objects whose locks were made longer, each store counted.
    """

    points: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    marked: int = 0
    locked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    extended: int = 0


@dataclass(frozen=True)
class ListedPoint:
    """A point as a prune sees it: without keys.

    Attributes:
        place: SERVICE/POINT.
        manifests: Names of its manifests.
        record: What it needs; None of one that a prune has begun to remove.
    """

    place: str
    manifests: tuple[str, ...]
    record: ObjectList | None
