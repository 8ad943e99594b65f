"""What was promised, and whether a disaster now would keep it. Pure: what is known goes in, a judgement comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coffer.recovery.forecast import Forecast

_GRACE = timedelta(minutes=15)
"""A point begins at its hour and is there some minutes later: only then is it missed."""


class State(StrEnum):
    """How a promise stands."""

    KEPT = "kept"
    IN_DANGER = "in danger"
    BROKEN = "broken"


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        name: `recovery point`, `recovery time`, `point` or `drill`.
        state: How it stands.
        seconds: What it would be now; None where nothing is there to measure.
        limit: Seconds promised.
        detail: Why, for people.
    """

    name: str
    state: State
    seconds: float | None
    limit: float
    detail: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.name}: {self.state.value}: {self.detail}"


@dataclass(frozen=True)
class Known:
    """What the vault says, without a key that opens content.

    Attributes:
        now: The time.
        point: Name of the newest point; empty without one.
        point_started: When its capture began.
        point_size: Bytes that a restore of it gives back.
        wal_written: When the newest log was put into the vault, by the store's clock; None without any since.
        wal_since: Bytes of log from the point's start.
        drilled: When a drill last passed.
        last_drill_failed: The newest drill did not pass.
    """

    now: datetime
    point: str = ""
    point_started: datetime | None = None
    point_size: int = 0
    wal_written: datetime | None = None
    wal_since: int = 0
    drilled: datetime | None = None
    last_drill_failed: bool = False


@dataclass(frozen=True)
class Limits:
    """What is promised.

    Attributes:
        rto: Recovery time.
        rpo: Age of what comes back; a point is due as often.
        drill_within: How old the last good drill may be; None: none is promised.
        margin: Share of the recovery time from which on it is in danger.
    """

    rto: timedelta
    rpo: timedelta
    drill_within: timedelta | None = None
    margin: float = 0.8


@dataclass(frozen=True)
class Outlook:
    """Everything that can be said of a disaster that would come now.

    Attributes:
        known: What it rests on.
        forecast: What recovery would take; None without a point.
        promises: Each promise, in order.
        point_helps: A new point would bring the recovery time back under its limit.
    """

    known: Known
    forecast: Forecast | None
    promises: tuple[Promise, ...]
    point_helps: bool = False

    @property
    def troubled(self) -> list[Promise]:
        """The promises that are not kept, or not for long."""
        return [promise for promise in self.promises if promise.state is not State.KEPT]

    @property
    def missed(self) -> bool:
        """A point was due and did not come."""
        return any(promise.name == "point" for promise in self.troubled)

    def get(self, name: str) -> Promise | None:
        """Return one promise by name."""
        return next((promise for promise in self.promises if promise.name == name), None)


def judge(known: Known, forecast: Forecast | None, limits: Limits) -> Outlook:
    """Return how every promise stands.

    Args:
        known: What the vault says.
        forecast: What a recovery would take now.
        limits: What was promised.
    """
    promises = [_loss(known, limits), _time(forecast, limits), _point(known, limits)]
    if limits.drill_within is not None:
        promises.append(_drill(known, limits.drill_within))
    danger = limits.margin * limits.rto.total_seconds()
    helps = forecast is not None and known.wal_since > 0 and forecast.helped_by_a_point(danger)
    return Outlook(known, forecast, tuple(promises), helps)


def said(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _loss(known: Known, limits: Limits) -> Promise:
    """Judge what would be lost: everything after the newest log, or after the point where no log comes."""
    limit = limits.rpo.total_seconds()
    newest = max((at for at in (known.point_started, known.wal_written) if at is not None), default=None)
    if known.point_started is None or newest is None:
        return Promise("recovery point", State.BROKEN, None, limit, "there is no point")
    lost = max(0.0, (known.now - newest).total_seconds())
    what = "log" if newest == known.wal_written else "point"
    return Promise(
        "recovery point", _against(lost, limit, 0.75), lost, limit,
        f"the newest {what} is {said(lost)} old, promised {said(limit)}",
    )  # fmt: skip


def _time(forecast: Forecast | None, limits: Limits) -> Promise:
    limit = limits.rto.total_seconds()
    if forecast is None:
        return Promise("recovery time", State.BROKEN, None, limit, "there is no point")
    state = _against(forecast.seconds, limit, limits.margin)
    return Promise("recovery time", state, forecast.seconds, limit, f"{forecast}, promised {said(limit)}")


def _point(known: Known, limits: Limits) -> Promise:
    limit = limits.rpo.total_seconds()
    if known.point_started is None:
        return Promise("point", State.BROKEN, None, limit, "no point was ever taken")
    age = (known.now - known.point_started).total_seconds()
    state = State.BROKEN if age > limit + _GRACE.total_seconds() else State.KEPT
    return Promise("point", state, age, limit, f"{known.point} is {said(age)} old, one is due every {said(limit)}")


def _drill(known: Known, within: timedelta) -> Promise:
    limit = within.total_seconds()
    age = None if known.drilled is None else (known.now - known.drilled).total_seconds()
    if known.last_drill_failed:
        return Promise("drill", State.BROKEN, age, limit, "the last drill failed")
    if age is None:
        return Promise("drill", State.IN_DANGER, None, limit, "no drill has passed yet")
    state = State.BROKEN if age > limit else State.KEPT
    return Promise("drill", state, age, limit, f"the last one passed {said(age)} ago, one is due every {said(limit)}")


def _against(value: float, limit: float, margin: float) -> State:
    if value > limit:
        return State.BROKEN
    return State.IN_DANGER if value > margin * limit else State.KEPT
