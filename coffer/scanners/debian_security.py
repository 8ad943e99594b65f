"""Debian's security pocket against what the image has installed: vulnerability data that can be had everywhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from coffer.release.findings import Finding, Severity
from coffer.scanners.debian_packages import Package, is_newer, read_packages
from coffer.scanners.scanner import NoData, ScanResult
from coffer.scanners.security_pocket import SecurityPocket, fetch_pocket
from coffer.scanners.subject import ScanSubject

_NAME = "debian-security"


class Fetch(Protocol):
    """How the security pocket is asked for."""

    def __call__(
        self, codename: str, architecture: str, scratch: Path, now: datetime, *, timeout: float
    ) -> SecurityPocket:
        """See `fetch_pocket`."""
        ...


class DebianSecurity:
    """Security updates that the image does not have.

    Args:
        fetch: Asks for the security pocket; apt's by default.
    """

    name = _NAME
    covers = ("os-vulnerabilities",)

    def __init__(self, fetch: Fetch = fetch_pocket) -> None:
        self._fetch = fetch

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Compare every installed package with the newest fixed version."""
        installed = list(read_packages(subject.files.dpkg_status))
        codename = subject.files.distribution("VERSION_CODENAME")
        if subject.files.distribution("ID") != "debian" or not installed or not codename:
            raise NoData("the image is not a Debian that can be compared", detail=subject.files.distribution("ID"))
        architecture = next((each.architecture for each in installed if each.architecture != "all"), "all")
        scratch = subject.directory / self.name
        scratch.mkdir(exist_ok=True)
        pocket = self._fetch(codename, architecture, scratch, subject.now, timeout=timeout)
        findings = (_finding(each, pocket.versions.get(each.name, "")) for each in installed)
        return ScanResult(tuple(each for each in findings if each is not None), pocket.label, pocket.known_at)


def _finding(package: Package, fixed: str) -> Finding | None:
    if not fixed or not is_newer(fixed, package.version):
        return None
    rule = f"{_NAME}:{package.source}"
    return Finding(
        _NAME,
        rule,
        Severity.HIGH,
        f"{package.name} {package.version}",
        f"Debian has published a security update of {package.source}",
        fixed,
        f"{rule}:{package.name}:{fixed}",
    )
