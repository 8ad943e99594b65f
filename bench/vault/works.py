"""What is measured, in the order in which a round does it."""

from __future__ import annotations

from enum import StrEnum


class Work(StrEnum):
    """One thing that a backup tool does."""

    FIRST = "first"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    RESTORE = "restore"
    VERIFY = "verify"
    VERIFY_CACHED = "verify-cached"
    OPEN = "open"

    @property
    def label(self) -> str:
        """Return what it is called in a table."""
        return _TITLES[self]

    @property
    def writes(self) -> bool:
        """Tell whether it adds to the store."""
        return self in (Work.FIRST, Work.UNCHANGED, Work.CHANGED)

    @property
    def cold(self) -> bool:
        """Tell whether caches are dropped before it."""
        return self is not Work.VERIFY_CACHED

    @property
    def peer(self) -> Work:
        """Return the peer's work that it is compared with: restic has one proof for all of ours."""
        return Work.VERIFY if self is Work.OPEN else self

    @property
    def goal(self) -> float | None:
        """Return how many times the peer's speed it should have."""
        return _GOALS.get(self)


_GOALS = {Work.FIRST: 1.5, Work.UNCHANGED: 3.0, Work.RESTORE: 1.5}
_TITLES = {
    Work.FIRST: "first backup",
    Work.UNCHANGED: "second, nothing changed",
    Work.CHANGED: "1 % changed",
    Work.RESTORE: "restore of all",
    Work.VERIFY: "verify at rest",
    Work.VERIFY_CACHED: "verify at rest, from cache",
    Work.OPEN: "verify with keys",
}
