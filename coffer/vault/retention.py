"""Which points to keep, and why: a pure decision over names and times."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from coffer.errors import UsageError


class RetentionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How many points of a service are kept, and how long what nothing names.

    Attributes:
        keep_last: The newest so many.
        keep_days: All of the last so many days.
        keep_daily: The newest of each of so many days.
        keep_weekly: The newest of each of so many weeks.
        keep_monthly: The newest of each of so many months.
        grace_hours: How old an object that no point names must be before it goes: a run in work may have put it.
    """

    keep_last: int = 1
    keep_days: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    grace_hours: float = 24.0

    @classmethod
    def load(cls, path: Path) -> RetentionPolicy:
        """Read a TOML file.

        Raises:
            UsageError: It is absent, has an unknown key, or keeps nothing.
        """
        try:
            policy = msgspec.convert(tomllib.loads(path.read_text()), cls)
        except OSError as error:
            raise UsageError(f"{path} cannot be read", detail=error.strerror or "") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise UsageError(f"{path} is not a retention policy", detail=str(error)) from error
        if policy.keep_last < 1:
            raise UsageError(f"{path} is not a retention policy", detail="keep-last must be at least 1")
        return policy


@dataclass(frozen=True)
class Candidate:
    """A point as retention sees it."""

    service: str
    name: str
    counter: int
    started: datetime


@dataclass(frozen=True)
class Verdict:
    """What becomes of a point, and why."""

    point: Candidate
    keep: bool
    reason: str


def decide(candidates: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> list[Verdict]:
    """Return a verdict for each point, oldest first; the newest point of a service is always kept."""
    verdicts: list[Verdict] = []
    for service in sorted({each.service for each in candidates}):
        mine = sorted((each for each in candidates if each.service == service), key=lambda each: each.counter)
        reasons = _reasons(mine, policy, now)
        for each in mine:
            reason = reasons.get(each.name)
            verdicts.append(Verdict(each, reason is not None, reason or "no rule keeps it"))
    return verdicts


def _reasons(mine: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> dict[str, str]:
    newest_first = list(reversed(mine))
    reasons: dict[str, str] = {}
    for each in newest_first[: policy.keep_last]:
        reasons.setdefault(each.name, f"one of the last {policy.keep_last}")
    for each in newest_first:
        if each.started > now - timedelta(days=policy.keep_days):
            reasons.setdefault(each.name, f"younger than {policy.keep_days} days")
    periods: tuple[tuple[int, str, Callable[[datetime], str]], ...] = (
        (policy.keep_daily, "day", lambda at: f"{at:%Y-%m-%d}"),
        (policy.keep_weekly, "week", lambda at: f"{at:%G-W%V}"),
        (policy.keep_monthly, "month", lambda at: f"{at:%Y-%m}"),
    )
    for count, word, period_of in periods:
        seen: set[str] = set()
        for each in newest_first:
            period = period_of(each.started)
            if period not in seen and len(seen) < count:
                seen.add(period)
                reasons.setdefault(each.name, f"the newest of {word} {period}")
    return reasons
