"""What drills have shown so far: read from the proofs beside the points, which need no key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.proofs import How, Proof, Result

_LOST = "rpo_seconds_"


@dataclass(frozen=True)
class Drilled:
    """One drill that was kept.

    Attributes:
        at: When it ended.
        point: From which point.
        ok: It passed.
        rto_seconds: From start to the first correct answer; None without one.
        rpo_seconds: By part: how old the newest thing was that came back.
        restored_bytes: Bytes copied.
        restore_seconds: How long that took.
        wal_bytes: Log replayed.
        replay_seconds: How long that took.
    """

    at: datetime
    point: str
    ok: bool
    rto_seconds: float | None = None
    rpo_seconds: Mapping[str, float] = field(default_factory=dict)
    restored_bytes: int = 0
    restore_seconds: float = 0.0
    wal_bytes: int = 0
    replay_seconds: float = 0.0

    @classmethod
    def of(cls, proof: Proof) -> Drilled:
        """Read a drill's proof; what an older one does not say is nothing."""
        facts = proof.facts
        rto = facts.get("rto_seconds")
        return cls(
            at=proof.at,
            point=proof.point,
            ok=proof.result is Result.PASSED,
            rto_seconds=None if rto is None else float(rto),
            rpo_seconds={name.removeprefix(_LOST): _number(facts, name) for name in facts if name.startswith(_LOST)},
            restored_bytes=int(_number(facts, "restored_bytes")),
            restore_seconds=_number(facts, "restore_seconds"),
            wal_bytes=int(_number(facts, "wal_bytes")),
            replay_seconds=_number(facts, "replay_seconds"),
        )


def drills_of(ledger: ProofLedger, service: str) -> list[Drilled]:
    """Return a service's drills, oldest first; those of points that were pruned went with them."""
    found = (
        proof
        for (whose, _, _), proofs in ledger.points.items()
        if whose == service
        for proof in proofs.proofs
        if proof.how is How.DRILL
    )
    return sorted(map(Drilled.of, found), key=lambda drill: drill.at)


def passed(drills: Iterable[Drilled]) -> list[Drilled]:
    """Return the drills that passed: what others measured promises nothing."""
    return [drill for drill in drills if drill.ok]


def _number(facts: Mapping[str, str | int | float | bool | None], name: str) -> float:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
