"""Reads points back and keeps what that proved beside them, for good or ill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coffer.vault import points, proof_ledger, proofs
from coffer.vault.point_needs import read_needs
from coffer.vault.points import Point
from coffer.vault.proof_planning import plan_reading
from coffer.vault.proof_recording import Proving, Recording, record_drill

if TYPE_CHECKING:
    from coffer.vault.reader import VaultReader

__all__ = ["Proving", "prove_due", "prove_points", "record_drill"]
Progress = Callable[[int, int], None]


def prove_points(
    reader: VaultReader, chosen: Sequence[Point] | None = None, progress: Progress | None = None
) -> Proving:
    """Read points back whole, in every store, or all of them and all WAL, and keep the result beside each.

    Raises:
        IntegrityError: The root key that signs proofs is not genuine.
        Unreachable: No store answers.
    """
    access = reader.access()
    everything = read_needs(access)  # before: what is committed meanwhile may not have been read
    report = reader.verify(chosen, progress)
    wanted = None if chosen is None else {each.object_name for each in chosen}
    read = [each for each in everything if wanted is None or each.known.point.object_name in wanted]
    return Recording(access, report, everything, proof_ledger.read(access.stores, access.configuration)).run(read)


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
    everything = read_needs(access)
    ledger = proof_ledger.read(access.stores, access.configuration)
    plan = plan_reading(
        [
            each.as_planned(ledger)
            for each in everything
            if only is None or each.known.point.object_name == only.object_name
        ],
        ledger.packs,
        now or points.from_ns(time.time_ns()),
        within,
        budget,
    )
    chosen = [each for each in everything if each.known.point.object_name in plan.points]
    left_out = frozenset(name for each in everything for name in each.packs if proofs.pack_id(name) not in plan.packs)
    report = reader.verify([each.known.point for each in chosen], progress, left_out=left_out)
    return Recording(access, report, everything, ledger, now).run(chosen, plan)
