"""The report: what counts as passed, and the page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta

import pytest

from coffer.errors import IntegrityError, StepFailed
from coffer.recovery import report_trend
from coffer.recovery.report import DrillReport, Phase
from coffer.recovery.report_page import duration, page
from coffer.recovery.report_timeline import timeline
from coffer.recovery.trend import Drilled


def raising(error: Exception) -> str:
    raise error


def test_a_drill_that_asked_nothing_has_not_passed() -> None:
    assert not DrillReport("production", "creditai").ok


def test_damage_weighs_more_than_what_failed_first() -> None:
    report = DrillReport("production", "creditai")
    assert report.check("one", lambda: "fine")
    assert report.ok
    assert not report.check("two", lambda: raising(StepFailed("no answer")))
    assert report.exit_code == 17
    assert not report.check("three", lambda: raising(IntegrityError("a page is damaged")))
    assert (report.ok, report.exit_code) == (False, 13)
    assert report.damage == ["no answer", "a page is damaged"]
    assert any("NO  three" in line for line in report.lines())


def test_a_phase_is_timed_even_when_it_fails() -> None:
    report = DrillReport("production", "creditai")
    try:
        with report.phase("restore"):
            raise IntegrityError("gone")
    except IntegrityError:
        report.phases.append(Phase("after", 1, 1))
    assert [(phase.name, phase.ok) for phase in report.phases] == [("restore", False), ("after", True)]


def test_the_page_escapes_what_others_wrote_and_loads_nothing() -> None:
    report = DrillReport("production", "<script>alert(1)</script>", sabotage="flipped-page <b>")
    report.rows = {"disputes": 1234}
    report.rto_seconds, report.rpo_seconds = 12.3, {"database": 3.0}
    report.phases = [Phase("restore <x>", 0, 2), Phase("check", 2, 3, counts=False)]
    report.fail("x", IntegrityError("<img alt=x>"))
    html = page(report)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "1,234" in html
    for word in ("src=", "href=", "@import", "url("):
        assert word not in html


def test_the_timeline_is_well_formed_and_to_scale() -> None:
    drawing = ElementTree.fromstring(timeline([Phase("a", 0, 1), Phase("b & c", 1, 3, ok=False)], 4.0))
    bars = [element for element in drawing if element.tag == "rect"]
    first, second = (float(bar.get("width", "0")) for bar in bars)
    assert second == 3 * first
    assert ElementTree.fromstring(timeline([], None)).tag == "svg"


def test_the_promise_is_a_line_and_the_recovery_time_is_drawn_against_it() -> None:
    for rto in (90.0, 1200.0):
        drawing = ElementTree.fromstring(timeline([Phase("a", 0, rto)], rto, 900.0))
        taken = float([element for element in drawing if element.tag == "rect"][-1].get("width", "0"))
        promise = float([element for element in drawing if element.tag == "line"][-1].get("x1", "0"))
        assert taken / promise == pytest.approx(rto / 900, rel=0.02)
        assert f"{rto / 900:.0%} of what was promised" in "".join(drawing.itertext())


def test_what_is_wrong_stands_before_everything_else() -> None:
    report = DrillReport("production", "creditai")
    report.phases = [Phase("restore", 0, 2)]
    report.fail("x", IntegrityError("tables are gone", detail="public.disputes"))
    html = page(report)
    assert html.index("tables are gone: public.disputes") < html.index("<svg")


def test_the_trend_shows_the_last_drills_against_the_promise() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    drills = [
        Drilled(
            at + timedelta(days=7 * week),
            f"p{week}",
            ok=week != 2,
            rto_seconds=10.0 + week,
            rpo_seconds={"database": 1.0},
        )
        for week in range(20)
    ]
    charts = ElementTree.fromstring(report_trend.charts(drills, 25.0, 14_400.0))
    assert [figure.findtext("figcaption") for figure in charts] == ["recovery time", "lost, database"]
    first = charts[0].find("svg")
    assert first is not None
    heights = [float(bar.get("height", "0")) for bar in first.findall("rect")]
    assert len(heights) == report_trend.LAST
    assert heights == sorted(heights)
    assert first.find("line") is not None, "25 s are near enough to be drawn"
    assert charts[1].find("svg/line") is None, "four hours beside one second are not"
    assert report_trend.charts(drills[:1], 25.0, 1.0) == ""
    assert report_trend.table(drills)[0][1] == "p19"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.25, 600, 14_400)] == ["3.2 s", "10.0 min", "4.0 h"]
