"""How promises stand: told before they are broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.recovery.forecast import Rates, forecast
from coffer.recovery.metrics import exposition
from coffer.recovery.promises import Known, Limits, Outlook, State, judge

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=15), timedelta(hours=4), timedelta(days=8))
FAST = Rates(restore=100e6, replay=50e6, fixed=10, drills=3, assumed=())
GOOD = Known(
    NOW, "000002-x", NOW - timedelta(hours=1), 10**9, NOW - timedelta(seconds=6), 10**8, NOW - timedelta(days=2)
)


def seen(known: Known = GOOD, rates: Rates = FAST) -> Outlook:
    return judge(known, forecast(rates, known.point_size, known.wal_since) if known.point else None, LIMITS)


def states(outlook: Outlook) -> dict[str, str]:
    return {promise.name: promise.state.value for promise in outlook.promises}


def test_all_is_well() -> None:
    outlook = seen()
    assert set(states(outlook).values()) == {"kept"}
    assert (outlook.troubled, outlook.missed, outlook.point_helps) == ([], False, False)
    assert "the newest log is 6 s old" in str(outlook.get("recovery point"))


def test_without_a_point_everything_is_broken() -> None:
    outlook = judge(Known(NOW), None, LIMITS)
    assert states(outlook) == {
        "recovery point": "broken", "recovery time": "broken", "point": "broken", "drill": "in danger",
    }  # fmt: skip
    assert outlook.missed


def test_where_no_log_comes_the_point_is_what_would_come_back() -> None:
    old = replace(GOOD, wal_written=None, point_started=NOW - timedelta(hours=3, minutes=10))
    assert states(seen(old))["recovery point"] == "in danger"
    older = replace(old, point_started=NOW - timedelta(hours=4, minutes=5))
    assert states(seen(older))["recovery point"] == "broken"
    assert not seen(older).missed, "it is given a quarter of an hour to come"
    assert seen(replace(old, point_started=NOW - timedelta(hours=4, minutes=16))).missed


def test_a_long_log_is_in_danger_before_the_promise_is_broken_and_a_point_helps() -> None:
    """10 s to copy, 10 s to start: 700 s of replay are 80 % of a quarter of an hour."""
    almost = replace(GOOD, wal_since=int(50e6 * 690))
    assert states(seen(almost))["recovery time"] == "kept"
    danger = replace(GOOD, wal_since=int(50e6 * 710))
    assert states(seen(danger))["recovery time"] == "in danger"
    assert seen(danger).point_helps
    broken = replace(GOOD, wal_since=int(50e6 * 900))
    assert states(seen(broken))["recovery time"] == "broken"
    assert seen(broken).point_helps


def test_a_point_too_large_is_not_helped_by_another_one() -> None:
    large = replace(GOOD, point_size=int(100e6 * 800), wal_since=int(50e6 * 200))
    assert states(seen(large))["recovery time"] == "broken"
    assert not seen(large).point_helps


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"drilled": NOW - timedelta(days=9)}, "broken"),
        ({"drilled": None}, "in danger"),
        ({"last_drill_failed": True}, "broken"),
    ],
)
def test_a_drill_is_promised_too(changes: dict[str, object], state: str) -> None:
    assert states(seen(replace(GOOD, **changes)))["drill"] == state  # type: ignore[arg-type]
    quiet = judge(replace(GOOD, drilled=None), None, replace(LIMITS, drill_within=None))
    assert quiet.get("drill") is None


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.floats(1e5, 1e9), st.floats(1e5, 1e9), st.floats(0, 2000))
def test_who_takes_a_point_when_told_to_is_not_told_again(
    size: int, wal: int, restore: float, replay: float, fixed: float
) -> None:
    rates = Rates(restore=restore, replay=replay, fixed=fixed)
    known = replace(GOOD, point_size=size, wal_since=wal)
    if seen(known, rates).point_helps:
        after = seen(replace(known, wal_since=0), rates)
        assert not after.point_helps
        assert states(after)["recovery time"] == "kept"


def test_metrics_hold_times_so_that_their_age_alerts() -> None:
    text = exposition("production", 'a"b\\c', seen(replace(GOOD, drilled=None)))
    labels = 'environment="production",service="a\\"b\\\\c"'
    assert f"coffer_point_timestamp_seconds{{{labels}}} {GOOD.point_started.timestamp():.3f}" in text  # type: ignore[union-attr]
    assert f"coffer_recovery_time_forecast_seconds{{{labels}}} 22.000" in text
    assert f"coffer_recovery_time_promise_seconds{{{labels}}} 900.000" in text
    assert f"coffer_recovery_point_promise_seconds{{{labels}}} 14400.000" in text
    assert f'coffer_promise_state{{{labels},promise="drill"}} 1' in text
    assert "coffer_drill_timestamp_seconds" not in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert text.endswith("\n")
    assert State.KEPT.value == "kept"
