"""Which point reaches which moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import NotThere, UsageError
from coffer.recovery.drill import draw_target
from coffer.recovery.target import RestoreTarget, TargetKind, choose_files, choose_point
from coffer.vault.capture import Kind
from coffer.vault.points import Point, PointSource

BEGIN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def point(number: int, source: str = "postgres") -> Point:
    started = BEGIN + timedelta(minutes=10 * number)
    stopped = started + timedelta(minutes=1)
    facts = {"stopped": stopped.isoformat(), "stop_lsn": f"0/{number:X}000000"}
    held = PointSource(source, "postgres", Kind.FULL, 1, 1, facts)
    name = f"{number:06d}"
    return Point(name, "creditai", Kind.FULL, number, started, stopped, None, (held,), 1, 1, {}, (), f"points/{name}")


POINTS = [point(number) for number in range(1, 5)]


@pytest.mark.parametrize(
    ("minutes", "chosen"), [(11, "000001"), (20, "000001"), (20.99, "000001"), (21, "000002"), (900, "000004")]
)
def test_the_newest_point_that_ended_before_the_moment(minutes: float, chosen: str) -> None:
    target = RestoreTarget.at_time(BEGIN + timedelta(minutes=minutes))
    assert choose_point(POINTS, "postgres", target).name == chosen


def test_positions_and_ends() -> None:
    assert choose_point(POINTS, "postgres", RestoreTarget.at_lsn("0/2FFFFFF")).name == "000002"
    assert choose_point(POINTS, "postgres", RestoreTarget()).name == "000004"
    assert choose_point(POINTS, "postgres", RestoreTarget(TargetKind.NAME, "before")).name == "000004"


def test_a_moment_before_all_points_names_the_earliest() -> None:
    with pytest.raises(NotThere, match="2026-11-24T10:11:00"):
        choose_point(POINTS, "postgres", RestoreTarget.at_time(BEGIN))
    with pytest.raises(UsageError, match="2026-11-24T10:11:00"):
        RestoreTarget.at_lsn("0/1").check(POINTS[0].sources[0].facts)


def test_points_without_the_source_do_not_count() -> None:
    with pytest.raises(NotThere, match="no point holds"):
        choose_point([point(1, "files")], "postgres", RestoreTarget())
    assert choose_point([POINTS[0], point(9, "files")], "postgres", RestoreTarget()).name == "000001"


@pytest.mark.parametrize("text", ["2026-11-24T10:00:00", "yesterday", ""])
def test_a_moment_needs_an_offset(text: str) -> None:
    with pytest.raises(UsageError):
        RestoreTarget.parse_time(text)


def test_settings() -> None:
    assert RestoreTarget.parse_time("2026-11-24T10:00:00Z").settings() == {
        "recovery_target_time": "2026-11-24T10:00:00+00:00",
        "recovery_prefetch": "off",
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
    }
    assert RestoreTarget(TargetKind.POINT).settings()["recovery_target"] == "immediate"
    assert "recovery_target_time" not in RestoreTarget().settings()


@given(st.integers())
def test_a_drawn_moment_lies_in_the_window_and_is_the_seed_s(seed: int) -> None:
    target = draw_target(POINTS, "postgres", seed)
    assert target == draw_target(POINTS, "postgres", seed)
    assert target.time
    assert BEGIN + timedelta(minutes=11) <= target.time <= BEGIN + timedelta(minutes=40)
    assert choose_point(POINTS, "postgres", target)


def test_one_point_s_window_is_its_log() -> None:
    assert draw_target(POINTS[:1], "postgres", 1) == RestoreTarget()
    with pytest.raises(NotThere):
        draw_target([], "postgres", 1)


@pytest.mark.parametrize(("minutes", "chosen"), [(11, "000002"), (20, "000002"), (20.5, "000003"), (900, "000004")])
def test_files_come_from_the_first_capture_after_the_moment(minutes: float, chosen: str) -> None:
    target = RestoreTarget.at_time(BEGIN + timedelta(minutes=minutes))
    files = choose_files(POINTS, "postgres", target, choose_point(POINTS, "postgres", target))
    assert files
    assert files.name == chosen


def test_files_of_the_point_itself_and_of_none() -> None:
    assert choose_files(POINTS, "postgres", RestoreTarget(TargetKind.POINT), POINTS[1]) == POINTS[1]
    assert choose_files(POINTS, "postgres", RestoreTarget(), POINTS[1]) == POINTS[-1]
    assert choose_files(POINTS, "files", RestoreTarget(), POINTS[1]) is None


@pytest.mark.parametrize("timeline", ["latest", "current", "3"])
def test_the_timeline_to_follow(timeline: str) -> None:
    assert RestoreTarget(timeline=timeline).settings()["recovery_target_timeline"] == timeline


@pytest.mark.parametrize("timeline", ["", "0", "-1", "newest", "1'"])
def test_what_is_no_timeline_is_refused(timeline: str) -> None:
    with pytest.raises(UsageError, match="no timeline"):
        RestoreTarget(timeline=timeline)
