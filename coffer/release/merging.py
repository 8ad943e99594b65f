"""The same problem seen by two scanners is one finding with two witnesses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from coffer.release.findings import Finding, Severity

# `unknown` is not harmless: it stands above what is known to be small.
_WORST_FIRST = (
    Severity.CRITICAL, Severity.HIGH, Severity.UNKNOWN, Severity.MEDIUM, Severity.LOW, Severity.INFO,
)  # fmt: skip


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding a problem, worst first, in an order that does not depend on who ran first."""
    together: dict[str, list[Finding]] = {}
    for finding in findings:
        together.setdefault(finding.identity or f"{finding.rule}:{finding.where}", []).append(finding)
    merged = [_join(identity, witnesses) for identity, witnesses in together.items()]
    return tuple(sorted(merged, key=lambda one: (_WORST_FIRST.index(one.severity), one.identity)))


def _join(identity: str, witnesses: list[Finding]) -> Finding:
    ordered = sorted(witnesses, key=lambda one: (_WORST_FIRST.index(one.severity), one.scanner, one.title))
    names = {name for one in ordered for name in one.scanner.split("+")}
    fixed = next((one.fixed_in for one in ordered if one.fixed_in), "")
    return replace(ordered[0], scanner="+".join(sorted(names)), fixed_in=fixed, identity=identity)
