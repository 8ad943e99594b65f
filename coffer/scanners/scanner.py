"""What a scanner is: a name, what it covers, and a report that is always an answer, also when it failed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coffer.errors import CofferError
from coffer.release.findings import Finding, Severity
from coffer.scanners.subject import ScanSubject


@dataclass(frozen=True)
class ScanResult:
    """What a scan brought back when it ran to its end.

    Attributes:
        findings: What it found.
        version: Version of the tool.
        data_from: Time of its vulnerability data; None where it needs none.
    """

    findings: tuple[Finding, ...] = field(default=())
    version: str = ""
    data_from: datetime | None = None


class Scanner(Protocol):
    """One tool, or one check of our own."""

    @property
    def name(self) -> str:
        """Its name in reports and exceptions."""
        ...

    @property
    def covers(self) -> tuple[str, ...]:
        """What it looks for, as policies name it (`secrets`, `dockerfile`, …)."""
        ...

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Look at a subject.

        Args:
            subject: What to look at.
            timeout: Seconds it may take.

        Raises:
            NotInstalled: Its program is not on this machine.
            NoData: It lacks the data without which its answer would mean nothing.
            OutsideSystemError: It failed or took too long.
        """
        ...


class NotInstalled(CofferError):
    """The scanner's program is not on this machine. Becomes a status, never a pass."""

    category = "not-installed"


class NoData(CofferError):
    """The scanner has nothing to compare with. Becomes a status, never a pass."""

    category = "no-data"


_SEVERITIES = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "error": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "low": Severity.LOW,
    "info": Severity.LOW,
    "style": Severity.INFO,
    "note": Severity.INFO,
}


def severity_of(word: str) -> Severity:
    """Translate a tool's word; an unknown word stays unknown, which is not harmless."""
    return _SEVERITIES.get(word.lower(), Severity.UNKNOWN)


def find_program(name: str) -> Path:
    """Return a program: from this Python's own environment first, then from PATH.

    Raises:
        NotInstalled: It is nowhere.
    """
    beside = Path(sys.executable).parent / name
    found = beside if beside.is_file() else shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed", resolution="Install Coffer with its 'local' extra")
    return Path(found)
