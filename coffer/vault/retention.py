"""Which points to keep, and why: a pure decision over what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from coffer.vault.retention_policy import RetentionPolicy

__all__ = ["Candidate", "Decision", "Proven", "Refusal", "RetentionPolicy", "Verdict", "decide"]


class Proven(IntEnum):
    """What a point has passed; more includes less."""

    NOTHING = 0
    READ_BACK = 1
    DRILLED = 2


_NEEDED = {"none": Proven.NOTHING, "read-back": Proven.READ_BACK, "drill": Proven.DRILLED}
_WORDS = {Proven.READ_BACK: "read back", Proven.DRILLED: "drilled"}


@dataclass(frozen=True)
class Candidate:
    """A point as retention sees it.

    Attributes:
        service: Whose it is.
        name: Its name, unique within the service.
        counter: Its place among the service's points.
        started: When its capture began, aware.
        proven: What it has passed.
        damaged: Known to be damaged; then it counts as proven for nothing.
        locked_until: Until when a store refuses to remove it.
    """

    service: str
    name: str
    counter: int
    started: datetime
    proven: Proven = Proven.NOTHING
    damaged: bool = False
    locked_until: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a point, and why.

    Attributes:
        point: The point.
        keep: It stays.
        reason: Why.
        held: No rule keeps it, but a refusal does.
    """

    point: Candidate
    keep: bool
    reason: str
    held: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why none of a service's points may go."""

    service: str
    reason: str


@dataclass(frozen=True)
class Decision:
    """What is to become of every point.

    Attributes:
        verdicts: One for each point, by service, oldest first.
        refusals: At most one for each service; they are in the verdicts already.
    """

    verdicts: list[Verdict]
    refusals: list[Refusal]


def decide(candidates: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> Decision:
    """Decide which points stay. The newest point of a service always does, and its newest undamaged and proven one.

    Args:
        candidates: All points, in any order.
        policy: The rules.
        now: By the stores' clock.
    """
    verdicts: list[Verdict] = []
    refusals: list[Refusal] = []
    for service in sorted({each.service for each in candidates}):
        mine = sorted((each for each in candidates if each.service == service), key=_age, reverse=True)
        reasons = _reasons(mine, policy, now)
        going = [each for each in mine if each.name not in reasons]
        refusal = _refusal(service, [each for each in mine if each.name in reasons], policy, now) if going else None
        if refusal is not None:
            refusals.append(refusal)
        for each in reversed(mine):
            if each.name in reasons:
                verdicts.append(Verdict(each, True, reasons[each.name]))
            elif refusal is not None:
                verdicts.append(Verdict(each, True, f"held: {refusal.reason}", held=True))
            else:
                verdicts.append(Verdict(each, False, "no rule keeps it"))
    return Decision(verdicts, refusals)


def _age(point: Candidate) -> tuple[int, datetime, str]:
    return point.counter, point.started, point.name


def _refusal(service: str, kept: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> Refusal | None:
    """Refuse while nothing that stays, and that covers the window, has passed what the policy asks for."""
    needed = _NEEDED[policy.require_proof]
    if needed is Proven.NOTHING:
        return None
    # Where the window holds no point at all, the newest one is what there is to prove.
    since = min(now - policy.window, kept[0].started) if policy.keep_days else None
    enough = [each for each in kept if not each.damaged and each.proven >= needed]
    if any(since is None or each.started >= since for each in enough):
        return None
    within = f" of the last {policy.keep_days} days" if policy.keep_days else ""
    return Refusal(service, f"no point{within} that stays was {_WORDS[needed]}, and the policy asks for one")


def _reasons(mine: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> dict[str, str]:
    """Return why points are kept, by name; of several reasons the first counts. `mine` is newest first."""
    reasons: dict[str, str] = {}
    for point, reason in _kept(mine, policy, now):
        reasons.setdefault(point.name, reason)
    return reasons


def _kept(mine: Sequence[Candidate], policy: RetentionPolicy, now: datetime) -> Iterator[tuple[Candidate, str]]:
    whole = [each for each in mine if not each.damaged]
    proven = [each for each in whole if each.proven > Proven.NOTHING]
    yield from ((each, "the newest") for each in mine[:1])
    yield from ((each, f"one of the last {policy.keep_last}") for each in whole[: policy.keep_last])
    if policy.keep_days:
        yield from _within(mine, whole, policy, now)
    yield from _periods(whole, policy)
    count = max(policy.keep_verified, 1)
    yield from ((each, f"one of the last {count} that were {_WORDS[each.proven]}") for each in proven[:count])
    for each in mine:
        if each.locked_until is not None and each.locked_until > now:
            yield each, f"locked until {each.locked_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _within(
    mine: Sequence[Candidate], whole: Sequence[Candidate], policy: RetentionPolicy, now: datetime
) -> Iterator[tuple[Candidate, str]]:
    since = now - policy.window
    yield from ((each, f"of the last {policy.keep_days} days") for each in mine if each.started > since)
    before = [each for each in whole if each.started <= since]
    yield from ((each, f"the first moments of the last {policy.keep_days} days need it") for each in before[:1])


def _periods(whole: Sequence[Candidate], policy: RetentionPolicy) -> Iterator[tuple[Candidate, str]]:
    periods: tuple[tuple[int, str, Callable[[datetime], str]], ...] = (
        (policy.keep_daily, "day", lambda at: f"{at:%Y-%m-%d}"),
        (policy.keep_weekly, "week", lambda at: f"{at:%G-W%V}"),
        (policy.keep_monthly, "month", lambda at: f"{at:%Y-%m}"),
        (policy.keep_yearly, "year", lambda at: f"{at:%Y}"),
    )
    for count, word, period_of in periods:
        seen: set[str] = set()
        for each in whole:
            period = period_of(each.started.astimezone(UTC))
            if period not in seen and len(seen) < count:
                seen.add(period)
                yield each, f"the newest of {word} {period}"
