"""Dated exceptions: a person takes a known problem on for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class GateException:
    """One problem that may pass until a day.

    Attributes:
        finding: A finding's identity or rule, or `unknown:SCANNER`, `data:SCANNER`, `missing:WHAT`.
        reason: Why it may pass.
        owner: Who answers for it.
        until: First moment at which it no longer counts; None is refused.
    """

    finding: str
    reason: str
    owner: str
    until: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.until is not None and now >= self.until

    def describe(self) -> str:
        """Return it in a few words."""
        end = f"{self.until:%Y-%m-%d}" if self.until else "no end"
        return f"excepted until {end} by {self.owner}: {self.reason}"


def refusal_of(exception: GateException, now: datetime) -> str | None:
    """Return why an exception does not count, or None if it does."""
    if exception.until is None:
        return "it has no end date"
    if not exception.owner.strip():
        return "it has no owner"
    if not exception.reason.strip():
        return "it has no reason"
    if exception.expired(now):
        return f"it ended on {exception.until:%Y-%m-%d}"
    return None
