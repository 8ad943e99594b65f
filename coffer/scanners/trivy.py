"""Trivy: secrets and misconfiguration of an image; vulnerabilities where it has data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from coffer import processes
from coffer.errors import OutsideSystemError
from coffer.release.findings import Finding
from coffer.scanners.layer_cache import layer_cache
from coffer.scanners.scanner import NoData, ScanResult, find_program, severity_of
from coffer.scanners.subject import ScanSubject

# Nothing is fetched and nobody is told: the answer depends on the image and on what is on this machine.
_OFFLINE = ("--quiet", "--offline-scan", "--skip-db-update", "--skip-java-db-update", "--skip-version-check")


class Trivy:
    """Secrets in every layer, and mistakes in how the image is set up. Its checks are built in."""

    name = "trivy"
    covers = ("secrets", "misconfiguration")

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Scan the saved image."""
        document = run_trivy(
            subject,
            "trivy",
            ["--scanners", "secret,misconfig", "--image-config-scanners", "secret,misconfig", "--skip-check-update"],
            timeout=timeout,
        )
        return ScanResult(tuple(_findings(document)), _version(document))


class TrivyVulnerabilities:
    """Known vulnerabilities of npm packages, if a vulnerability database is on this machine.

    Args:
        database: Trivy's cache folder with `db/`; its usual place if None.
    """

    name = "trivy-vulnerabilities"
    covers = ("npm-vulnerabilities",)

    def __init__(self, database: Path | None = None) -> None:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivy"
        self._database = database or Path(os.environ.get("TRIVY_CACHE_DIR") or usual)

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Compare the image's packages with the database; without one there is no answer."""
        find_program("trivy")
        metadata = self._database / "db" / "metadata.json"
        if not metadata.is_file():
            raise NoData("Trivy has no vulnerability database", detail=f"nothing in {metadata.parent}")
        updated = datetime.fromisoformat(json.loads(metadata.read_bytes())["UpdatedAt"])
        document = run_trivy(subject, self.name, ["--scanners", "vuln"], timeout=timeout, cache=self._database)
        return ScanResult(tuple(_findings(document, self.name)), _version(document), updated)


def run_trivy(
    subject: ScanSubject,
    name: str,
    options: Sequence[str],
    *,
    timeout: float,
    cache: Path | None = None,
    form: str = "json",
) -> dict[str, Any]:
    """Run Trivy on the saved image and return its report.

    Args:
        subject: The image.
        name: Sub-folder of the scratch folder to work in.
        options: Further options.
        timeout: Seconds it may take.
        cache: Its cache folder; the one kept for this name if None.
        form: Format of the report.

    Raises:
        NotInstalled: It is not on this machine.
        NoData: There is no image.
        OutsideSystemError: It failed.
    """
    program = find_program("trivy")
    if subject.archive is None:
        raise NoData("there is no image to look at")
    folder = subject.directory / name
    folder.mkdir(exist_ok=True)
    out = folder / "report.json"
    out.unlink(missing_ok=True)
    argv: list[str | Path] = [
        program, "image", "--input", subject.archive, *_OFFLINE, *options, "--format", form, "--output", out,
        "--timeout", f"{timeout:.0f}s", "--cache-dir",
    ]  # fmt: skip
    started = time.monotonic()
    with nullcontext(cache) if cache else layer_cache(name, folder / "cache") as place:
        # No settings of the machine or of the source may weaken it.
        processes.run([*argv, place], timeout=timeout, environment={"TRIVY_CONFIG": os.devnull}, directory=folder)
    if not out.is_file():
        raise OutsideSystemError("trivy wrote no report", detail=f"after {time.monotonic() - started:.1f} s")
    document: dict[str, Any] = json.loads(out.read_bytes())
    return document


def _version(document: dict[str, Any]) -> str:
    return str((document.get("Trivy") or {}).get("Version", ""))


def _findings(document: dict[str, Any], scanner: str = "trivy") -> Iterator[Finding]:
    for result in document.get("Results") or ():
        target = str(result["Target"]).lstrip("/")
        for secret in result.get("Secrets") or ():
            where = f"image:{target}:{secret['StartLine']}"
            severity = severity_of(secret["Severity"])
            yield Finding(scanner, secret["RuleID"], severity, where, secret["Title"], identity=f"secret:{where}")
        for problem in result.get("Misconfigurations") or ():
            rule, severity = problem["ID"], severity_of(problem["Severity"])
            yield Finding(scanner, rule, severity, f"image:{target}", problem["Title"], identity=f"{rule}:{target}")
        for weakness in result.get("Vulnerabilities") or ():
            yield _vulnerability(weakness, scanner)


def _vulnerability(weakness: dict[str, Any], scanner: str) -> Finding:
    package, rule = f"{weakness['PkgName']}@{weakness['InstalledVersion']}", weakness["VulnerabilityID"]
    return Finding(
        scanner,
        rule,
        severity_of(weakness["Severity"]),
        package,
        weakness.get("Title") or rule,
        weakness.get("FixedVersion", ""),
        f"{rule}:{package}",
    )
