"""SARIF 2.1.0 out and in: the form in which other tools exchange findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from coffer.release.findings import Finding, ScanReport, ScanStatus, Severity
from coffer.scanners.scanner import severity_of

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.UNKNOWN: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}


def to_sarif(reports: Iterable[ScanReport]) -> dict[str, Any]:
    """Return one SARIF run a scanner; one that did not complete says so in its invocation."""
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report) for report in reports]}


def from_sarif(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings of any tool's SARIF.

    Coffer's own severity is taken where it stands there, else the level.
    """
    for run in document.get("runs") or ():
        scanner = run["tool"]["driver"]["name"]
        for result in run.get("results") or ():
            yield _finding(scanner, result)


def _run(report: ScanReport) -> dict[str, Any]:
    rules = sorted({finding.rule for finding in report.findings})
    driver: dict[str, Any] = {"name": report.scanner, "rules": [{"id": rule} for rule in rules]}
    if report.version:
        driver["version"] = report.version
    invocation: dict[str, Any] = {"executionSuccessful": report.status is ScanStatus.COMPLETED}
    if report.reason:
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": {"text": report.reason}}]
    return {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_result(finding) for finding in report.findings],
        "properties": {"covers": list(report.covers), "status": str(report.status)},
    }


def _result(finding: Finding) -> dict[str, Any]:
    name, _, line = finding.where.rpartition(":")
    place: dict[str, Any] = {"artifactLocation": {"uri": name if line.isdecimal() and name else finding.where}}
    if line.isdecimal() and name and int(line) > 0:
        place["region"] = {"startLine": int(line)}
    return {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.title or finding.rule},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"coffer/identity": finding.identity},
        "properties": {"severity": str(finding.severity), "where": finding.where, "fixedIn": finding.fixed_in},
    }


def _finding(scanner: str, result: Mapping[str, Any]) -> Finding:
    own = result.get("properties") or {}
    where = own.get("where") or _where(result)
    rule = str(result.get("ruleId", ""))
    return Finding(
        scanner,
        rule,
        _severity(own, result),
        where,
        str(result["message"].get("text", "")),
        str(own.get("fixedIn", "")),
        str((result.get("partialFingerprints") or {}).get("coffer/identity") or f"{rule}:{where}"),
    )


def _severity(own: Mapping[str, Any], result: Mapping[str, Any]) -> Severity:
    if own.get("severity") in list(Severity):
        return Severity(own["severity"])
    return severity_of(str(result.get("level") or "warning"))


def _where(result: Mapping[str, Any]) -> str:
    for location in result.get("locations") or ():
        place = location.get("physicalLocation") or {}
        uri, line = (place.get("artifactLocation") or {}).get("uri", ""), (place.get("region") or {}).get("startLine")
        return f"{uri}:{line}" if line else str(uri)
    return ""
