"""What passes the gate, what does not, and that every word has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coffer.release.exceptions import GateException
from coffer.release.findings import Finding, ScanReport, ScanStatus, Severity
from coffer.release.gates import Decision, GatePolicy, Verdict, judge
from coffer.release.outcomes import TestOutcome, TestStatus

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = GatePolicy()
BAD = Finding("trivy", "CVE-2026-1", Severity.CRITICAL, "openssl", "a hole", "3.0.2", "CVE-2026-1:openssl")
EXCEPTION = GateException("CVE-2026-1:openssl", "not reachable", "ann", NOW + timedelta(days=3))


def _report(*findings: Finding, **changes: object) -> ScanReport:
    return replace(
        ScanReport("trivy", ("os-vulnerabilities",), ScanStatus.COMPLETED, findings=findings, data_from=NOW),
        **changes,  # type: ignore[arg-type]
    )


def _refusals(verdict: Verdict) -> list[str]:
    return [reason.text for reason in verdict.refusals]


def test_nothing_found_passes_and_says_who_looked() -> None:
    verdict = judge([_report()], [TestOutcome("load", TestStatus.PASSED)], POLICY, [], NOW)
    assert verdict.passed
    assert {reason.decision for reason in verdict.reasons} == {Decision.ACCEPT}
    assert "trivy ran: 0 findings on os-vulnerabilities" in [reason.text for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("severity", "passed"),
    [("critical", False), ("high", False), ("unknown", False), ("medium", True), ("low", True), ("info", True)],
)
def test_severities_refuse_as_the_policy_says(severity: str, passed: bool) -> None:
    finding = replace(BAD, severity=Severity(severity))
    assert judge([_report(finding)], [], POLICY, [], NOW).passed is passed


def test_a_refusal_says_what_where_and_how_to_mend_it() -> None:
    [text] = _refusals(judge([_report(BAD)], [], POLICY, [], NOW))
    assert text == "critical CVE-2026-1 in openssl: a hole, fixed in 3.0.2 (trivy)"


@pytest.mark.parametrize("name", ["CVE-2026-1:openssl", "CVE-2026-1"])
def test_a_dated_exception_lets_it_pass_and_is_named(name: str) -> None:
    exception = replace(EXCEPTION, finding=name)
    verdict = judge([_report(BAD)], [], POLICY, [exception], NOW)
    assert verdict.passed
    assert verdict.exceptions == (exception,)
    assert any("excepted until 2026-11-27 by ann: not reachable" in reason.text for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"until": None}, "no end date"), ({"owner": " "}, "no owner"), ({"reason": ""}, "no reason")],
)
def test_an_exception_without_end_owner_or_reason_is_refused(change: dict[str, object], why: str) -> None:
    verdict = judge([_report()], [], POLICY, [replace(EXCEPTION, **change)], NOW)  # type: ignore[arg-type]
    assert not verdict.passed
    assert why in _refusals(verdict)[0]


def test_an_expired_exception_counts_as_the_finding() -> None:
    over = replace(EXCEPTION, until=NOW)
    verdict = judge([_report(BAD)], [], POLICY, [over], NOW)
    assert "the exception of ann ended on 2026-11-24" in _refusals(verdict)[0]
    assert judge([_report()], [], POLICY, [over], NOW).passed, "an expired exception for nothing hurts nobody"


def test_an_exception_for_something_else_excuses_nothing() -> None:
    verdict = judge([_report(BAD)], [], POLICY, [replace(EXCEPTION, finding="CVE-2026-2")], NOW)
    assert not verdict.passed
    assert verdict.exceptions == ()


@pytest.mark.parametrize("status", [status for status in ScanStatus if status is not ScanStatus.COMPLETED])
def test_no_answer_is_not_a_pass(status: ScanStatus) -> None:
    silent = _report(status=status, reason="out of memory")
    verdict = judge([silent], [], POLICY, [], NOW)
    assert _refusals(verdict) == [f"trivy is no answer ({status}: out of memory) on os-vulnerabilities"]
    assert judge([silent], [], replace(POLICY, unknown="accept"), [], NOW).passed
    assert judge([silent], [], POLICY, [replace(EXCEPTION, finding="unknown:trivy")], NOW).passed


def test_what_nobody_looked_for_is_unknown() -> None:
    policy = replace(POLICY, covers=("secrets", "os-vulnerabilities"))
    assert _refusals(judge([_report()], [], policy, [], NOW)) == ["nobody looked for secrets"]


def test_old_data_refuses_even_where_the_unknown_is_accepted() -> None:
    old = _report(data_from=NOW - timedelta(days=3, hours=12))
    policy = replace(POLICY, unknown="accept")
    assert _refusals(judge([old], [], policy, [], NOW)) == ["data of trivy is 3.5 days old (at most 3)"]
    assert judge([_report(data_from=NOW - timedelta(days=3))], [], POLICY, [], NOW).passed


def test_the_same_problem_seen_twice_is_one_finding_with_two_witnesses() -> None:
    again = replace(BAD, scanner="grype", severity=Severity.HIGH, fixed_in="")
    verdict = judge([_report(BAD), _report(again, scanner="grype")], [], POLICY, [], NOW)
    [finding] = verdict.findings
    assert finding.scanner == "grype+trivy"
    assert finding.severity is Severity.CRITICAL
    assert finding.fixed_in == "3.0.2"
    assert len(verdict.refusals) == 1


@pytest.mark.parametrize(
    ("status", "required", "passed"),
    [
        ("passed", True, True),
        ("failed", True, False),
        ("not-run", True, False),
        ("not-run", False, True),
        ("failed", False, False),
    ],
)
def test_what_failed_refuses_and_what_is_needed_must_have_run(status: str, required: bool, passed: bool) -> None:
    test = TestOutcome("load", TestStatus(status), required, "p95 230 ms")
    verdict = judge([_report()], [test], POLICY, [replace(EXCEPTION, finding="test:load")], NOW)
    assert verdict.passed is passed
    assert f"test load {status}: p95 230 ms" in [reason.text for reason in verdict.reasons]


def test_the_same_facts_hash_alike_whenever_and_in_whatever_order() -> None:
    one, two = _report(BAD), _report(scanner="gitleaks", covers=("secrets",))
    first = judge([one, two], [], POLICY, [EXCEPTION], NOW)
    later = judge([two, one], [], POLICY, [EXCEPTION], NOW + timedelta(minutes=5))
    assert first.hash == later.hash
    assert first.hash != judge([one, two], [], POLICY, [], NOW).hash
