"""Asking again: how often, how long, and never for an answer that was given."""

from __future__ import annotations

import pytest

from coffer.vault.stores import retrying
from coffer.vault.stores.retrying import Retries


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        monkeypatch.setattr(retrying.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(retrying.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Flaky:
    """Fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError(self.calls)
        return "answer"


def test_it_is_asked_until_it_answers(clock: Clock) -> None:
    flaky = Flaky(3)
    assert Retries().run(flaky, lambda _: True) == "answer"
    assert flaky.calls == 4
    assert len(clock.waits) == 3


def test_the_last_error_is_raised_as_it_is(clock: Clock) -> None:
    with pytest.raises(OSError, match="3"):
        Retries(attempts=3).run(Flaky(99), lambda _: True)
    assert len(clock.waits) == 2


def test_an_error_that_does_not_deserve_it_is_raised_at_once(clock: Clock) -> None:
    flaky = Flaky(1)
    with pytest.raises(OSError, match="1"):
        Retries().run(flaky, lambda _: False)
    assert (flaky.calls, clock.waits) == (1, [])


def test_waits_are_jittered_below_bounds_that_double_up_to_the_longest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[float] = []

    def highest(low: float, high: float) -> float:
        assert low == 0
        bounds.append(high)
        return high

    monkeypatch.setattr(retrying.random, "uniform", highest)
    Retries(attempts=8, first=0.5, longest=10).run(Flaky(7), lambda _: True)
    assert bounds == clock.waits == [0.5, 1, 2, 4, 8, 10, 10]


def test_no_attempt_begins_after_the_deadline(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying.random, "uniform", lambda _, high: high)
    flaky = Flaky(99)
    with pytest.raises(OSError, match="4"):
        Retries(attempts=99, deadline=10, first=1, longest=60).run(flaky, lambda _: True)
    assert clock.waits == [1, 2, 4]
