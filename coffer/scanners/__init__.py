"""One adapter a tool; each answers with findings in one form, and a failure is a status, never a pass."""

from __future__ import annotations

from coffer.scanners.bill_of_materials import bill_of_materials
from coffer.scanners.debian_security import DebianSecurity
from coffer.scanners.gitleaks import Gitleaks
from coffer.scanners.hadolint import Hadolint
from coffer.scanners.image_policy import ImagePolicy
from coffer.scanners.running import run_all, scan_one
from coffer.scanners.sarif import from_sarif, to_sarif
from coffer.scanners.scanner import NoData, NotInstalled, Scanner, ScanResult
from coffer.scanners.subject import ScanSubject, prepare
from coffer.scanners.trivy import Trivy, TrivyVulnerabilities


def standard_scanners(user: int = 1001) -> tuple[Scanner, ...]:
    """Return the scanners that every release runs.

    Args:
        user: The numeric account that the image must run as.
    """
    return Trivy(), TrivyVulnerabilities(), Gitleaks(), Hadolint(), ImagePolicy(user), DebianSecurity()


__all__ = [
    "DebianSecurity",
    "Gitleaks",
    "Hadolint",
    "ImagePolicy",
    "NoData",
    "NotInstalled",
    "ScanResult",
    "ScanSubject",
    "Scanner",
    "Trivy",
    "TrivyVulnerabilities",
    "bill_of_materials",
    "from_sarif",
    "prepare",
    "run_all",
    "scan_one",
    "standard_scanners",
    "to_sarif",
]
