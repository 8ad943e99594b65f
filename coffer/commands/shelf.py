"""Points as people look at them: how old, proven by what, within which window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from coffer.vault.points import Point
from coffer.vault.proof_ledger import PointProofs, ProofLedger


@dataclass(frozen=True)
class Shelf:
    """The points of a vault.

    Attributes:
        points: The points.
        ledger: What is known of them.
        keep_days: The window that the root signed; 0 where it signed none.
        now: The time.
    """

    points: Sequence[Point]
    ledger: ProofLedger
    keep_days: int
    now: datetime

    def proofs(self, point: Point) -> PointProofs:
        """Return what a point has passed."""
        return self.ledger.of(point.service, point.name, point.object_name).of_damaged(point.started, point.damage)

    def age(self, point: Point) -> str:
        """Return how long ago a point began."""
        hours = (self.now - point.started).total_seconds() / 3600
        return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"

    def is_within(self, point: Point) -> bool | None:
        """Tell whether a point is inside the window; None where there is none."""
        return point.started > self.now - timedelta(days=self.keep_days) if self.keep_days else None

    def describe(self, point: Point) -> dict[str, Any]:
        """Return all of it as `--json` prints it."""
        passed = self.proofs(point)
        return {
            "age_seconds": round((self.now - point.started).total_seconds()),
            "in_window": self.is_within(point),
            "proof": {
                "read_back": passed.read_back,
                "drilled": passed.drilled,
                "damaged": passed.damaged,
                "detail": passed.detail,
                "history": [
                    {
                        "how": each.how.value,
                        "result": each.result.value,
                        "at": each.at,
                        "by": each.by,
                        "objects": each.objects,
                        "bytes": each.read,
                        "stores": each.stores,
                        "detail": each.detail,
                        "facts": each.facts,
                    }
                    for each in passed.proofs
                ],
            },
        }

    def windows(self) -> Iterator[str]:
        """Say for each service how far back its points reach, and which one was proven last."""
        for service in sorted({point.service for point in self.points}):
            mine = [point for point in self.points if point.service == service]
            window = f"window of {self.keep_days} days" if self.keep_days else "no window is signed"
            proven = [point for point in mine if self.proofs(point).proven]
            newest = f"newest proven {proven[-1].name}, {self.age(proven[-1])} old" if proven else "none is proven"
            yield f"{service}: {len(mine)} points since {mine[0].started:%Y-%m-%d %H:%M} UTC, {window}; {newest}"
