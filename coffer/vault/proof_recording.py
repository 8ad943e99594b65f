"""Turns what was found into proofs, and keeps them beside the points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from coffer.errors import CofferError
from coffer.vault import points, proofs
from coffer.vault.point_needs import PointNeeds
from coffer.vault.points import Point
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.proof_planning import ReadingPlan
from coffer.vault.proofs import How, Proof, Result
from coffer.vault.verify_report import VerifyReport

if TYPE_CHECKING:
    from coffer.vault.reader import ReaderAccess, VaultReader


@dataclass(frozen=True)
class Proving:
    """What came of it.

    Attributes:
        report: What was read and found.
        proofs: What was written down, one for each point that was read or found damaged.
        plan: What was chosen, where that was left to the ledger.
        notes: Why a proof could not be written down where it was to be.
    """

    report: VerifyReport
    proofs: list[Proof]
    plan: ReadingPlan | None = None
    notes: list[str] = field(default_factory=list)


def record_drill(
    reader: VaultReader,
    point: Point,
    result: Result,
    detail: str = "",
    facts: dict[str, str | int | float | bool | None] | None = None,
) -> Proof:
    """Keep a drill's result beside the point that it restored.

    Raises:
        CofferError: What the gravest store said, when none took it.
    """
    access = reader.access()
    proof = Proof(
        vault=access.configuration.vault,
        service=point.service,
        point=point.name,
        manifest=bytes.fromhex(point.object_name[-64:]),
        how=How.DRILL,
        result=result,
        at_ns=time.time_ns(),
        by=access.fingerprint,
        read=point.size,
        detail=detail[:2000],
        facts=facts or {},
    )
    proof = _unless_damaged(proof, point)
    _put(access, proof, access.root_key())
    return proof


class Recording:
    """Turns a report into proofs."""

    def __init__(
        self,
        access: ReaderAccess,
        report: VerifyReport,
        everything: list[PointNeeds],
        ledger: ProofLedger,
        now: datetime | None = None,
    ) -> None:
        self._access = access
        self._report = report
        self._everything = everything
        self._ledger = ledger
        self._at_ns = points.to_ns(now) if now else time.time_ns()
        self._credited: set[bytes] = set()

    def run(self, read: Sequence[PointNeeds], plan: ReadingPlan | None = None) -> Proving:
        """Write down what was found of each point that was read, and of each other that lacks something now."""
        proving, secret = Proving(self._report, [], plan), self._access.root_key()
        mine = {each.known.point.object_name for each in read}
        for each in self._everything:
            proof = self._judge(each, plan, was_read=each.known.point.object_name in mine)
            if proof is None:
                continue
            proving.proofs.append(proof)
            try:
                _put(self._access, proof, secret)
            except CofferError as error:
                proving.notes.append(f"the proof of {proof.point} is kept nowhere: {error}")
        return proving

    def _judge(self, each: PointNeeds, plan: ReadingPlan | None, *, was_read: bool) -> Proof | None:
        bad, silent = self._problems(each)
        urls = [store.url for store in self._access.stores.stores]
        whole = [url for url in urls if url not in bad and url not in silent]
        if whole:
            if not was_read or not each.needs:
                return None
            return self._proof(each, self._passed(each, plan), whole, packs=self._credit(each, plan))
        if silent - set(bad):
            return None  # a store that does not answer may hold it whole
        point = each.known.point
        known = self._ledger.of(point.service, point.name, point.object_name)
        if not was_read and known.damaged:
            return None
        detail = "; ".join(sorted({text for texts in bad.values() for text in texts})[:5])
        return self._proof(each, Result.DAMAGED, [], detail=detail)

    def _problems(self, each: PointNeeds) -> tuple[dict[str, list[str]], set[str]]:
        """Return what is wrong with a point, by store, and which stores did not answer."""
        bad: dict[str, list[str]] = {}
        silent: set[str] = set()
        for problem in self._report.problems:
            if not each.is_touched_by(problem.object):
                continue
            urls = [problem.store] if problem.store else [store.url for store in self._access.stores.stores]
            for url in urls:
                if problem.what == "unreadable":
                    silent.add(url)
                else:
                    bad.setdefault(url, []).append(f"{problem.object} {problem.what}")
        return bad, silent

    def _passed(self, each: PointNeeds, plan: ReadingPlan | None) -> Result:
        if plan is None:
            return Result.PASSED
        proven = plan.packs | plan.fresh
        return Result.PASSED if all(proofs.pack_id(name) in proven for name in each.packs) else Result.PARTIAL

    def _credit(self, each: PointNeeds, plan: ReadingPlan | None) -> list[bytes]:
        """Return the packs that were read whole wherever the point is, for this point and no other before."""
        bad = {problem.object for problem in self._report.problems}
        mine = {proofs.pack_id(name) for name in each.packs if name not in bad}
        read = (mine if plan is None else mine & plan.packs) - self._credited
        self._credited |= read
        return sorted(read)

    def _proof(
        self, each: PointNeeds, result: Result, stores: list[str], *, packs: list[bytes] | None = None, detail: str = ""
    ) -> Proof:
        point, read = each.known.point, set(packs or ())
        proof = Proof(
            vault=self._access.configuration.vault,
            service=point.service,
            point=point.name,
            manifest=bytes.fromhex(point.object_name[-64:]),
            how=How.READ_BACK,
            result=result,
            at_ns=self._at_ns,
            by=self._access.fingerprint,
            objects=len(each.needs) - len(each.packs) + len(read),
            read=sum(each.needs[name] for name in each.packs if proofs.pack_id(name) in read),
            stores=stores,
            packs=sorted(read),
            detail=detail[:2000],
        )
        return _unless_damaged(proof, point)


def _unless_damaged(proof: Proof, point: Point) -> Proof:
    """Call no point proven that was damaged at its source: all its bytes may be right, and yet a page of it is not."""
    if not point.damage or proof.result not in (Result.PASSED, Result.PARTIAL):
        return proof
    return msgspec.structs.replace(proof, result=Result.DAMAGED, detail=f"at its source already: {point.damage}"[:2000])


def _put(access: ReaderAccess, proof: Proof, root_secret: bytes) -> None:
    """Put a proof into every store; one that has it is enough.

    Raises:
        CofferError: What the gravest store said, when none took it.
    """
    named = proofs.seal(root_secret, proof)
    failures: list[CofferError] = []
    for store in access.stores.stores:
        try:
            store.put(*named)
        except CofferError as error:
            failures.append(error)
            access.stores.note(f"{store.url}: {error}")
    if len(failures) == len(access.stores.stores):
        raise failures[0]
