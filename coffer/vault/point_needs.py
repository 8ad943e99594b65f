"""Points with all that they need, as whoever reads them back sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coffer.errors import CofferError
from coffer.vault import names, points, proofs
from coffer.vault.catalogue import Known
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.proof_planning import ReadablePoint

if TYPE_CHECKING:
    from coffer.vault.reader import ReaderAccess

_PACKS = f"{names.PACKS}/"


@dataclass(frozen=True)
class PointNeeds:
    """A point with names and sizes of all that it needs; nothing where its list does not read."""

    known: Known
    needs: dict[str, int]

    @property
    def packs(self) -> list[str]:
        """Names of its packs."""
        return [name for name in self.needs if name.startswith(_PACKS)]

    def as_planned(self, ledger: ProofLedger) -> ReadablePoint:
        """Return it as `plan_reading` takes it."""
        point = self.known.point
        passed = ledger.of(point.service, point.name, point.object_name).of_damaged(point.started, point.damage)
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


def read_needs(access: ReaderAccess) -> list[PointNeeds]:
    """Return every point whose manifest is genuine; of others a report speaks.

    Raises:
        Unreachable: No store answers.
    """
    return list(_read_lists(access))


def _read_lists(access: ReaderAccess) -> Iterator[PointNeeds]:
    for known in access.catalogue.all(without=set(access.catalogue.broken())):
        try:
            data = access.stores.read_needed(known.manifest.listing)
            needs = dict(points.open_list(access.configuration, known.manifest.listing, data).objects)
        except CofferError:
            needs = {}  # the report names the list, which is one of this point's
        yield PointNeeds(known, needs)
