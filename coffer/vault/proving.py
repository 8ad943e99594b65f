"""Reads points back and keeps what that proved beside them, for good or ill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coffer.errors import CofferError
from coffer.vault import names, points, proof_ledger, proofs
from coffer.vault.catalogue import Known
from coffer.vault.points import Point
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.proof_planning import ReadablePoint, ReadingPlan, plan_reading
from coffer.vault.proofs import How, Proof, Result
from coffer.vault.verify_report import VerifyReport

if TYPE_CHECKING:
    from coffer.vault.reader import ReaderAccess, VaultReader

Progress = Callable[[int, int], None]
_PACKS = f"{names.PACKS}/"


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


def prove_points(
    reader: VaultReader, chosen: Sequence[Point] | None = None, progress: Progress | None = None
) -> Proving:
    """Read points back whole, in every store, or all of them and all WAL, and keep the result beside each.

    Raises:
        IntegrityError: The root key that signs proofs is not genuine.
        Unreachable: No store answers.
    """
    report = reader.verify(chosen, progress)
    everything = _readable(reader.access())
    wanted = (
        {each.object_name for each in chosen}
        if chosen is not None
        else {each.known.point.object_name for each in everything}
    )
    read = [each for each in everything if each.known.point.object_name in wanted]
    return _Recording(reader, report, everything).run(read, None)


def prove_due(
    reader: VaultReader,
    within: timedelta,
    budget: int | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
    *,
    only: Point | None = None,
) -> Proving:
    """Read back what the ledger says is next; see `plan_reading`. Raises as `prove_points` does.

    Args:
        reader: An open vault.
        within: How long ago a pack may have been read at most.
        budget: Bytes to read, one store counted.
        progress: Called with bytes done and bytes in all.
        now: The time; by default this host's.
        only: Look at this point alone: what of it was read for others not long ago is not read again.
    """
    access = reader.access()
    everything = _readable(access)
    ledger = proof_ledger.read(access.stores, access.configuration)
    plan = plan_reading(
        [each.as_planned(ledger) for each in everything if only is None or each.known.point.name == only.name],
        ledger.packs,
        now or points.from_ns(time.time_ns()),
        within,
        budget,
    )
    chosen = [each for each in everything if each.known.point.object_name in plan.points]
    left_out = frozenset(name for each in everything for name in each.packs if proofs.pack_id(name) not in plan.packs)
    report = reader.verify([each.known.point for each in chosen], progress, left_out=left_out)
    return _Recording(reader, report, everything, now).run(chosen, plan)


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
    _put(access, proof, access.root_key())
    return proof


@dataclass(frozen=True)
class _Readable:
    """A point with the names of all that it needs."""

    known: Known
    needs: dict[str, int]

    @property
    def packs(self) -> list[str]:
        return [name for name in self.needs if name.startswith(_PACKS)]

    def as_planned(self, ledger: ProofLedger) -> ReadablePoint:
        point = self.known.point
        passed = ledger.of(point.service, point.name, point.object_name)
        packs = {proofs.pack_id(name): self.needs[name] for name in self.packs}
        return ReadablePoint(
            point.object_name, point.started, packs, bool(passed.proven), damaged=passed.damaged is not None
        )

    def is_touched_by(self, problem: str) -> bool:
        """Tell whether a problem's object is one of this point's: by name, or by the place where it should be."""
        point = self.known.point
        own = points.folder(names.POINTS, point.service, point.name)
        if problem in self.needs or problem in (point.name, self.known.manifest.listing) or problem.startswith(own):
            return True
        return problem.startswith(f"{names.KEYS}/") and any(name.startswith(problem) for name in self.needs)


class _Recording:
    """Turns a report into proofs."""

    def __init__(
        self, reader: VaultReader, report: VerifyReport, everything: list[_Readable], now: datetime | None = None
    ) -> None:
        self._access = reader.access()
        self._report = report
        self._everything = everything
        self._ledger = proof_ledger.read(self._access.stores, self._access.configuration)
        self._at_ns = points.to_ns(now) if now else time.time_ns()
        self._credited: set[bytes] = set()

    def run(self, read: Sequence[_Readable], plan: ReadingPlan | None) -> Proving:
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

    def _judge(self, each: _Readable, plan: ReadingPlan | None, *, was_read: bool) -> Proof | None:
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

    def _problems(self, each: _Readable) -> tuple[dict[str, list[str]], set[str]]:
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

    def _passed(self, each: _Readable, plan: ReadingPlan | None) -> Result:
        if plan is None:
            return Result.PASSED
        proven = plan.packs | plan.fresh
        return Result.PASSED if all(proofs.pack_id(name) in proven for name in each.packs) else Result.PARTIAL

    def _credit(self, each: _Readable, plan: ReadingPlan | None) -> list[bytes]:
        """Return the packs that were read whole wherever the point is, for this point and no other before."""
        bad = {problem.object for problem in self._report.problems}
        mine = {proofs.pack_id(name) for name in each.packs if name not in bad}
        read = (mine if plan is None else mine & plan.packs) - self._credited
        self._credited |= read
        return sorted(read)

    def _proof(
        self, each: _Readable, result: Result, stores: list[str], *, packs: list[bytes] | None = None, detail: str = ""
    ) -> Proof:
        point, read = each.known.point, set(packs or ())
        return Proof(
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


def _readable(access: ReaderAccess) -> list[_Readable]:
    """Return every point whose manifest and list are genuine; of others the report speaks."""
    return list(_read_lists(access))


def _read_lists(access: ReaderAccess) -> Iterator[_Readable]:
    for known in access.catalogue.all(without=set(access.catalogue.broken())):
        try:
            data = access.stores.read_needed(known.manifest.listing)
            needs = dict(points.open_list(access.configuration, known.manifest.listing, data).objects)
        except CofferError:
            needs = {}  # the report names the list, which is one of this point's
        yield _Readable(known, needs)


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
