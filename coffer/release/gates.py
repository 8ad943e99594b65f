"""Whether an image may go out: scanners and tests against the policy, each verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coffer.release.canonical import digest
from coffer.release.exceptions import GateException, refusal_of
from coffer.release.findings import Finding, ScanReport, ScanStatus, Severity
from coffer.release.merging import merge
from coffer.release.outcomes import TestOutcome, TestStatus


class Decision(StrEnum):
    """What a reason speaks for."""

    REFUSE = "refuse"
    ACCEPT = "accept"


@dataclass(frozen=True)
class GatePolicy:
    """What refuses a release.

    Attributes:
        refuse: Severities that refuse. A finding of severity `unknown` is handled as `unknown` below says.
        unknown: `refuse` or `accept` what could not be known: a scanner that crashed, has no data or did not run.
        data_older_than: Vulnerability data older than this refuses.
        covers: What must have been looked for by at least one scanner that ran to its end.
    """

    refuse: frozenset[Severity] = frozenset({Severity.CRITICAL, Severity.HIGH})
    unknown: str = "refuse"
    data_older_than: timedelta = timedelta(days=3)
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One sentence of a verdict.

    Attributes:
        decision: Whether it refuses or explains why something passed.
        subject: What it is about, by the name that an exception would use.
        text: Why, for people.
    """

    decision: Decision
    subject: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: Nothing refused.
        reasons: Why, refusals first.
        findings: Everything found, one entry a problem.
        exceptions: Exceptions that were needed.
        tests: Outcomes that it rests on.
        judged_at: When.
    """

    passed: bool
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    exceptions: tuple[GateException, ...]
    tests: tuple[TestOutcome, ...]
    judged_at: datetime

    @property
    def refusals(self) -> tuple[Reason, ...]:
        """The reasons that refuse."""
        return tuple(reason for reason in self.reasons if reason.decision is Decision.REFUSE)

    @property
    def hash(self) -> str:
        """SHA-256 of what was found and what was excepted; not of when, so that the same facts hash alike."""
        return digest([self.passed, self.reasons, self.findings, self.exceptions])


@dataclass(frozen=True)
class _Problem:
    subject: str
    text: str
    also: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.subject, *self.also))


def judge(
    reports: Sequence[ScanReport],
    tests: Sequence[TestOutcome],
    policy: GatePolicy,
    exceptions: Sequence[GateException],
    now: datetime,
) -> Verdict:
    """Judge reports and tests.

    An exception excuses what it names by a finding's identity, by its rule, or, for what could not be known, by
    `unknown:SCANNER`, `data:SCANNER` or `missing:WHAT`. A failed test is excused by nothing.
    """
    findings = merge(finding for report in reports for finding in report.findings)
    valid = [exception for exception in exceptions if refusal_of(exception, now) is None]
    reasons = [
        Reason(Decision.REFUSE, exception.finding, f"exception refused: {why}")
        for exception in exceptions
        if (why := refusal_of(exception, now)) is not None and not exception.expired(now)
    ]
    used: list[GateException] = []
    for problem in [*_about_findings(findings, policy), *_about_reports(reports, policy, now)]:
        excuse = next((each for each in valid if each.finding in problem.names), None)
        if excuse is None:
            note = _expired_note(problem, exceptions, now)
            reasons.append(Reason(Decision.REFUSE, problem.subject, problem.text + note))
            continue
        reasons.append(Reason(Decision.ACCEPT, problem.subject, f"{problem.text}; {excuse.describe()}"))
        if excuse not in used:
            used.append(excuse)
    reasons.extend(_about_accepted(reports, policy))
    reasons.extend(_about_tests(tests))
    reasons.sort(key=lambda reason: (reason.decision is not Decision.REFUSE, reason.subject, reason.text))
    passed = all(reason.decision is Decision.ACCEPT for reason in reasons)
    return Verdict(passed, tuple(reasons), findings, tuple(used), tuple(tests), now)


def _about_findings(findings: Iterable[Finding], policy: GatePolicy) -> Iterable[_Problem]:
    refused = policy.refuse | ({Severity.UNKNOWN} if policy.unknown == "refuse" else frozenset())
    for finding in findings:
        if finding.severity in refused:
            fixed = f", fixed in {finding.fixed_in}" if finding.fixed_in else ""
            text = f"{finding.severity} {finding.rule} in {finding.where}: {finding.title}{fixed} ({finding.scanner})"
            yield _Problem(finding.identity, text, (finding.rule,))


def _about_reports(reports: Sequence[ScanReport], policy: GatePolicy, now: datetime) -> Iterable[_Problem]:
    if policy.unknown == "refuse":
        for report in reports:
            if report.status is not ScanStatus.COMPLETED:
                what = ", ".join(report.covers)
                why = report.reason or "no reason given"
                text = f"{report.scanner} is no answer ({report.status}: {why}) on {what}"
                yield _Problem(f"unknown:{report.scanner}", text)
        for missing in _uncovered(reports, policy):
            yield _Problem(f"missing:{missing}", f"nobody looked for {missing}")
    for report in reports:
        if report.data_from is not None and now - report.data_from > policy.data_older_than:
            age = (now - report.data_from).total_seconds() / 86400
            limit = policy.data_older_than.total_seconds() / 86400
            text = f"data of {report.scanner} is {age:.1f} days old (at most {limit:g})"
            yield _Problem(f"data:{report.scanner}", text)


def _uncovered(reports: Sequence[ScanReport], policy: GatePolicy) -> list[str]:
    # What a failed scanner would have covered is said there, with its reason, and not twice.
    covered = {what for report in reports for what in report.covers}
    return [what for what in policy.covers if what not in covered]


def _about_accepted(reports: Sequence[ScanReport], policy: GatePolicy) -> Iterable[Reason]:
    for report in reports:
        if report.status is ScanStatus.COMPLETED:
            text = f"{report.scanner} ran: {len(report.findings)} findings on {', '.join(report.covers)}"
            yield Reason(Decision.ACCEPT, report.scanner, text)
        elif policy.unknown != "refuse":
            text = f"{report.scanner} is no answer ({report.status}); the policy accepts the unknown"
            yield Reason(Decision.ACCEPT, f"unknown:{report.scanner}", text)


def _about_tests(tests: Sequence[TestOutcome]) -> Iterable[Reason]:
    for test in tests:
        text = f"test {test.name} {test.status}" + (f": {test.detail}" if test.detail else "")
        # One that failed is excused by nothing; one that did not run refuses where the environment needs it.
        refused = test.status is TestStatus.FAILED or (test.required and test.status is not TestStatus.PASSED)
        yield Reason(Decision.REFUSE if refused else Decision.ACCEPT, f"test:{test.name}", text)


def _expired_note(problem: _Problem, exceptions: Sequence[GateException], now: datetime) -> str:
    for exception in exceptions:
        if exception.finding in problem.names and exception.until is not None and exception.expired(now):
            return f"; the exception of {exception.owner} ended on {exception.until:%Y-%m-%d}"
    return ""
