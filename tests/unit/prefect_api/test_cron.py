"""Schedules that must not meet do not meet, and nothing else is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.cron import Cron, without
from coffer.errors import UsageError


def moments(crons: list[Cron]) -> set[tuple[int, int, int]]:
    """Every (minute, hour, weekday) of some schedules."""
    return {(m, h, d) for cron in crons for m in cron.values(0) for h in cron.values(1) for d in cron.values(4)}


def left(cron: str, other: str) -> list[str]:
    return [str(rest) for rest in without(Cron.parse(cron), Cron.parse(other))]


@pytest.mark.parametrize(
    ("cron", "other", "rest"),
    [
        ("0 2 * * *", "0 2 * * 0", ["0 2 * * 1-6"]),
        ("0 2 * * *", "0 2 * * 7", ["0 2 * * 1-6"]),
        ("0 2 * * 1-6", "0 2 * * 0", ["0 2 * * 1-6"]),
        ("0 2 * * *", "0 3 * * 0", ["0 2 * * *"]),
        ("0 2 * * *", "30 2 * * 0", ["0 2 * * *"]),
        ("0 */4 * * *", "0 8 * * 0", ["0 0,4,12,16,20 * * *", "0 8 * * 1-6"]),
        ("0 2 * * 0", "0 2 * * *", []),
        ("0 2 1 * *", "0 2 * * 0", ["0 2 1 * *"]),
    ],
)
def test_what_is_left(cron: str, other: str, rest: list[str]) -> None:
    assert left(cron, other) == rest


hours = st.sets(st.integers(0, 23), min_size=1).map(lambda chosen: ",".join(map(str, sorted(chosen))))
days = st.one_of(
    st.just("*"), st.sets(st.integers(0, 6), min_size=1).map(lambda chosen: ",".join(map(str, sorted(chosen))))
)
crons = st.builds(lambda minute, hour, day: f"{minute} {hour} * * {day}", st.sampled_from(["0", "30"]), hours, days)


@given(crons, crons)
def test_exactly_the_others_moments_are_gone(cron: str, other: str) -> None:
    before, taken = Cron.parse(cron), Cron.parse(other)
    after = without(before, taken)
    assert moments(after) == moments([before]) - moments([taken])
    assert sum(len(moments([rest])) for rest in after) == len(moments(after))
    assert all(Cron.parse(str(rest)) == rest for rest in after)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 2 * *",
        "0 2 * * * *",
        "60 2 * * *",
        "0 24 * * *",
        "0 2 * * MON",
        "0 5-2 * * *",
        "0 */0 * * *",
        "a b c d e",
    ],
)
def test_no_cron(text: str) -> None:
    with pytest.raises(UsageError):
        Cron.parse(text)
