"""What is measured, in the order in which a round does it, and what Coffer is to reach."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Row(StrEnum):
    """One row of the table."""

    FULL = "full"
    TENTH = "incremental-0.1"
    ONE = "incremental-1"
    TEN = "incremental-10"
    RESTORE_FULL = "restore-full"
    RESTORE_LAST = "restore-last"
    ARCHIVE = "archive"
    FETCH = "fetch"
    FIRST_QUERY = "first-query"

    @property
    def label(self) -> str:
        """Return what it is called in a table."""
        return _LABELS[self]

    @property
    def step(self) -> int | None:
        """Return which backup of the chain it is, the full being 0; None for all else."""
        return BACKUPS.index(self) if self in BACKUPS else None

    @property
    def goal(self) -> Goal | None:
        """Return what Coffer is to reach, where the goal is a number of seconds."""
        return _GOALS.get(self)


@dataclass(frozen=True)
class Goal:
    """Most seconds, and most megabytes stored, on a cluster of 2.4 GB and two cores.

    Attributes:
        new: Seconds on PostgreSQL 17 and later.
        old: Seconds on 15 and 16.
        stored: Megabytes, or None.
    """

    new: float
    old: float
    stored: float | None = None

    def seconds(self, major: int) -> float:
        """Return the seconds for a version."""
        return self.new if major >= 17 else self.old


BACKUPS = (Row.FULL, Row.TENTH, Row.ONE, Row.TEN)
PERCENT = {Row.TENTH: 0.1, Row.ONE: 1.0, Row.TEN: 10.0}
FIRST_QUERY_TIMES = 1.5
LAG_SECONDS = 2.0
PEAK_BYTES = 512 << 20
SEGMENTS = 64
# Set before anything was built, from what the peers need on such a machine.
_GOALS = {
    Row.FULL: Goal(3.7, 3.7),
    Row.TENTH: Goal(0.6, 1.5, 3.2),
    Row.ONE: Goal(1.2, 1.7, 5.2),
    Row.TEN: Goal(1.2, 1.7, 24),
    Row.RESTORE_FULL: Goal(4.3, 4.3),
    Row.RESTORE_LAST: Goal(4.3, 4.3),
    Row.ARCHIVE: Goal(2.0, 2.0),
    Row.FETCH: Goal(1.8, 1.8),
}
_LABELS = {
    Row.FULL: "full",
    Row.TENTH: "incremental, 0.1 % of pages",
    Row.ONE: "incremental, 1 %",
    Row.TEN: "incremental, 10 %",
    Row.RESTORE_FULL: "restore of the full",
    Row.RESTORE_LAST: "restore of full + 3 incrementals",
    Row.ARCHIVE: "64 WAL segments archived",
    Row.FETCH: "64 WAL segments fetched back",
    Row.FIRST_QUERY: "restore, 64 segments replayed, first correct query",
}
