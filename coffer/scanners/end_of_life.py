"""Until when what an image is built on gets security fixes. A small dated table, so that it works without a network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_NODE = "https://github.com/nodejs/release#release-schedule"
_DEBIAN = "https://wiki.debian.org/LTS"


@dataclass(frozen=True)
class Support:
    """One release line.

    Attributes:
        product: `node`, `debian`.
        cycle: Its major version.
        ends: First moment without security fixes.
        source: Where that is written.
    """

    product: str
    cycle: str
    ends: datetime
    source: str


def _until(product: str, cycle: str, day: str, source: str) -> tuple[tuple[str, str], Support]:
    return (product, cycle), Support(product, cycle, datetime.fromisoformat(day).replace(tzinfo=UTC), source)


TABLE: dict[tuple[str, str], Support] = dict(
    (
        # As read in November 2026. Debian: long-term support included.
        _until("node", "14", "2023-04-30", _NODE),
        _until("node", "16", "2023-09-11", _NODE),
        _until("node", "18", "2025-04-30", _NODE),
        _until("node", "20", "2026-04-30", _NODE),
        _until("node", "22", "2027-04-30", _NODE),
        _until("node", "24", "2028-04-30", _NODE),
        _until("debian", "10", "2024-06-30", _DEBIAN),
        _until("debian", "11", "2026-08-31", _DEBIAN),
        _until("debian", "12", "2028-06-30", _DEBIAN),
        _until("debian", "13", "2030-06-30", _DEBIAN),
    )
)


def support_of(product: str, version: str) -> Support | None:
    """Return what is known about a version (`18.20.4`, `12.15`); None if its line is not in the table."""
    return TABLE.get((product, version.partition(".")[0]))
