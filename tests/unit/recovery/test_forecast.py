"""What a disaster now would cost: never less than its parts, never less for more bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.recovery.forecast import ASSUMED_REPLAY, ASSUMED_RESTORE, TELLING, Rates, forecast, rates_of
from coffer.recovery.trend import Drilled

AT = datetime(2026, 11, 24, tzinfo=UTC)
SIZES = st.integers(0, 1 << 50)
RATES = st.builds(
    Rates, restore=st.floats(1e3, 1e10), replay=st.floats(1e3, 1e10), fixed=st.floats(0, 1e4), drills=st.integers(0, 9)
)


def drilled(restored: int, restore: float, wal: int, replay: float, rest: float) -> Drilled:
    return Drilled(AT, "p", ok=True, rto_seconds=restore + replay + rest, restored_bytes=restored,
                   restore_seconds=restore, wal_bytes=wal, replay_seconds=replay)  # fmt: skip


DRILLS = st.lists(
    st.builds(drilled, st.integers(0, 1 << 40), st.floats(0, 1e4), st.integers(0, 1 << 40), st.floats(0, 1e4),
              st.floats(0, 1e3)),
    max_size=8,
)  # fmt: skip


@given(RATES, SIZES, SIZES)
def test_it_is_never_less_than_the_replay_nor_than_the_copy(rates: Rates, size: int, wal: int) -> None:
    seen = forecast(rates, size, wal)
    assert seen.seconds >= wal / rates.replay
    assert seen.seconds >= size / rates.restore
    assert seen.seconds >= rates.fixed


@given(RATES, SIZES, SIZES, SIZES, SIZES)
def test_it_grows_with_the_log_and_with_the_point(rates: Rates, size: int, wal: int, more: int, log: int) -> None:
    least = forecast(rates, size, wal)
    assert forecast(rates, size + more, wal).seconds >= least.seconds
    assert forecast(rates, size, wal + log).seconds >= least.seconds


@given(RATES, SIZES, SIZES, st.floats(1, 1e6))
def test_a_point_helps_only_where_the_log_is_what_takes_too_long(
    rates: Rates, size: int, wal: int, limit: float
) -> None:
    seen = forecast(rates, size, wal)
    if seen.helped_by_a_point(limit):
        assert seen.seconds > limit
        assert forecast(rates, size, 0).seconds <= limit


@given(DRILLS, SIZES, SIZES)
def test_what_any_drills_measured_gives_a_forecast(drills: list[Drilled], size: int, wal: int) -> None:
    rates = rates_of(drills)
    seen = forecast(rates, size, wal)
    assert rates.restore > 0
    assert rates.replay > 0
    assert seen.seconds >= 0
    assert ("replay" in rates.assumed) is (rates.replay == ASSUMED_REPLAY) or "replay" not in rates.assumed
    assert str(seen)


@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3), st.floats(0, 1e3)), min_size=1, max_size=5))
def test_a_drill_again_takes_no_longer_than_was_forecast(phases: list[tuple[float, float, float]]) -> None:
    """Of drills that all counted, none took longer than the forecast for its own sizes says."""
    drills = [drilled(TELLING, restore, TELLING, replay, rest) for restore, replay, rest in phases]
    rates = rates_of(drills)
    slowest = max(drill.rto_seconds or 0 for drill in drills)
    assert forecast(rates, TELLING, TELLING).seconds >= slowest - 1e-6
    assert rates.assumed == ()


def test_before_any_drill_it_says_that_it_assumes() -> None:
    rates = rates_of([])
    assert (rates.restore, rates.replay) == (ASSUMED_RESTORE, ASSUMED_REPLAY)
    assert "before any drill" in str(forecast(rates, 10**9, 0))


def test_small_drills_say_how_long_it_takes_to_begin_and_not_how_fast_bytes_flow() -> None:
    rates = rates_of([drilled(1000, 2.0, 1000, 3.0, 4.0)])
    assert rates.assumed == ("restore", "replay")
    assert rates.fixed == pytest.approx(9.0)


def test_the_slowest_of_the_last_five_counts_and_older_ones_do_not() -> None:
    size = TELLING * 10
    old = [drilled(size, 1000.0, size, 1000.0, 50.0)]
    new = [drilled(size, seconds, size, 2.0, 1.0) for seconds in (1.0, 4.0, 2.0, 1.0, 1.0)]
    rates = rates_of(old + new)
    assert rates.restore == pytest.approx(size / 4.0)
    assert rates.fixed == pytest.approx(1.0)
    assert rates.drills == 5
