"""The report: what counts as passed, and the page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from coffer.errors import IntegrityError, StepFailed
from coffer.recovery.report import DrillReport, Phase
from coffer.recovery.report_page import duration, page, timeline


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


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.25, 600, 14_400)] == ["3.2 s", "10.0 min", "4.0 h"]
