"""What is known of every point and every pack: read back when, drilled when, damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.vault import names, proofs
from coffer.vault.configuration import Configuration
from coffer.vault.proofs import How, Proof, Result
from coffer.vault.retention import Proven
from coffer.vault.store_set import StoreSet


@dataclass(frozen=True)
class PointProofs:
    """What one point has passed.

    Attributes:
        proofs: Its proofs, oldest first.
        read_back: When all of it was last read back whole.
        drilled: When a drill from it last passed, if the newest one did.
        damaged: When it was found damaged, if that still stands.
        detail: What was wrong then.
    """

    proofs: tuple[Proof, ...] = ()
    read_back: datetime | None = None
    drilled: datetime | None = None
    damaged: datetime | None = None
    detail: str = ""

    @classmethod
    def of(cls, found: Iterable[Proof]) -> PointProofs:
        """Weigh proofs: the newest of each kind counts. What a drill found wrong, only a drill takes back."""
        ordered = tuple(sorted(found, key=lambda proof: proof.at_ns))
        read = [each for each in ordered if each.how is How.READ_BACK and each.result is not Result.PARTIAL][-1:]
        drill = [each for each in ordered if each.how is How.DRILL][-1:]
        bad = [each for each in (*read, *drill) if each.result is Result.DAMAGED]
        if bad:
            return cls(ordered, damaged=bad[-1].at, detail=bad[-1].detail)
        passed = [each for each in (*read, *drill) if each.result is Result.PASSED]
        times = {each.how: each.at for each in passed}
        return cls(ordered, times.get(How.READ_BACK), times.get(How.DRILL))

    def of_damaged(self, since: datetime, damage: str) -> PointProofs:
        """Return what it is worth if it was damaged at its source already; nothing changes where `damage` is empty."""
        if not damage:
            return self
        return replace(self, read_back=None, drilled=None, damaged=since, detail=f"at its source already: {damage}")

    @property
    def proven(self) -> Proven:
        """What it has passed, as retention counts."""
        if self.drilled:
            return Proven.DRILLED
        return Proven.READ_BACK if self.read_back else Proven.NOTHING

    def describe(self) -> str:
        """Return it in a few words."""
        if self.damaged:
            return f"DAMAGED {self.damaged:%Y-%m-%d %H:%M}"
        words = [
            f"{word} {at:%Y-%m-%d %H:%M}"
            for word, at in (("drilled", self.drilled), ("read back", self.read_back))
            if at
        ]
        partial = bool(self.proofs) and self.proofs[-1].result is Result.PARTIAL
        return ", ".join(words) or ("partly read back" if partial else "not proven")


@dataclass(frozen=True)
class ProofLedger:
    """All proofs of a vault.

    Attributes:
        points: By (service, point, SHA-256 of the manifest).
        packs: When each pack, by id, was last opened and hashed in every store.
        notes: Proofs that are not believed, and why.
    """

    points: Mapping[tuple[str, str, bytes], PointProofs] = field(default_factory=dict)
    packs: Mapping[bytes, datetime] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, service: str, point: str, manifest_name: str) -> PointProofs:
        """Return what is known of a point, by its manifest's object name."""
        return self.points.get((service, point, bytes.fromhex(manifest_name[-64:])), PointProofs())


def read(stores: StoreSet, configuration: Configuration, listed: Iterable[str] | None = None) -> ProofLedger:
    """Read every proof that the root signed; others are noted and count for nothing.

    Args:
        stores: Where to look.
        configuration: Whose root to believe.
        listed: Names of all objects, where they were listed already.

    Raises:
        Unreachable: No store answers.
    """
    found: dict[tuple[str, str, bytes], list[Proof]] = {}
    packs: dict[bytes, datetime] = {}
    notes = []
    prefix = f"{names.PROOFS}/"
    for name in (
        sorted({each for each in listed if each.startswith(prefix)}) if listed is not None else stores.names(prefix)
    ):
        try:
            proof = proofs.open_proof(configuration, name, stores.read(name))
        except NotThere:
            continue  # pruned since it was listed
        except (IntegrityError, UsageError) as error:
            notes.append(f"not believed: {name}: {error}")
            continue
        found.setdefault((proof.service, proof.point, proof.manifest), []).append(proof)
        for pack in proof.packs:
            packs[pack] = max(proof.at, packs.get(pack, proof.at))
    return ProofLedger({key: PointProofs.of(each) for key, each in found.items()}, packs, tuple(notes))
