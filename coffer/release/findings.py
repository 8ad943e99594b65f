"""What scanners say, in one form, whatever tool said it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad, worst first; `unknown` is not harmless."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One problem at one place.

    Attributes:
        scanner: Who says so; several witnesses are joined by `+`.
        rule: The rule or vulnerability id (`CVE-…`, `DL3008`, `generic-api-key`).
        severity: How bad.
        where: Package, file and line, or layer.
        title: One line for people.
        fixed_in: Version that mends it; empty if none is known.
        identity: Stable id: equal for the same problem seen by two scanners.
    """

    scanner: str
    rule: str
    severity: Severity
    where: str
    title: str
    fixed_in: str = ""
    identity: str = ""


class ScanStatus(StrEnum):
    """Whether an answer counts. Only `completed` can be a pass."""

    COMPLETED = "completed"
    CRASHED = "crashed"
    NO_DATA = "no-data"
    NOT_INSTALLED = "not-installed"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True)
class ScanReport:
    """What one scanner brought back.

    Attributes:
        scanner: Name of the adapter.
        covers: What was looked for: `secrets`, `dockerfile`, `os-vulnerabilities`, `misconfiguration`, …
        status: Whether it ran to its end with data.
        version: Version of the tool.
        findings: What it found.
        data_from: Time of its vulnerability data; None where it needs none.
        reason: Why the status is not `completed`.
        seconds: How long it took.
    """

    scanner: str
    covers: tuple[str, ...]
    status: ScanStatus
    version: str = ""
    findings: tuple[Finding, ...] = ()
    data_from: datetime | None = None
    reason: str = ""
    seconds: float = 0.0
