"""Scanners over an image and its source, beside each other; whatever happens to one is an answer, never a pass."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger

from coffer import environments
from coffer.processes import background
from coffer.release.findings import ScanReport
from coffer.release.images import ImageReference
from coffer.scanners import ScanSubject, bill_of_materials, prepare, run_all, standard_scanners
from coffer.targets.registry import Registry, address_of
from tasks import artifacts, hosts
from tasks.policies import remembered

_SECONDS = 180.0


@dataclass(frozen=True)
class Scanned:
    """What scanning an image brought back.

    Attributes:
        reports: One a scanner.
        sbom: SHA-256 of the bill of materials, which is in the registry beside the image.
    """

    reports: tuple[ScanReport, ...]
    sbom: str


@remembered("scan")
def scan(environment: str, image: ImageReference, source: str) -> Scanned:
    """Scan an image, and the source it was built from if that is at hand.

    Raises:
        NotThere: The registry does not have the image.
        OutsideSystemError: The engine failed, or no bill of materials could be made.
    """
    settings, logger = environments.load(environment), get_run_logger()
    credentials = hosts.registry_credentials(settings)
    with background(), tempfile.TemporaryDirectory(prefix="coffer-scan-") as folder:
        subject = prepare(
            hosts.engine(settings),
            image,
            Path(folder) / "subject",
            now=datetime.now(UTC),
            source=Path(source) if source else None,
            credentials=credentials,
        )
        sbom = bill_of_materials(subject)
        scanners = [one for one in standard_scanners(settings.service.user) if _concerns(one.covers, subject)]
        reports = run_all(
            subject, scanners, _SECONDS, report=lambda one: logger.info("%s: %s", one.scanner, one.status)
        )
    user, password = credentials or ("", "")
    with Registry(address_of(image.repository), username=user, password=password) as registry:
        registry.put_artifact(image, "sbom", sbom, "application/vnd.cyclonedx+json")
    _show(reports)
    return Scanned(reports, hashlib.sha256(sbom).hexdigest())


def _concerns(covers: tuple[str, ...], subject: ScanSubject) -> bool:
    # A Dockerfile is looked at where it is built; an image that comes by push has none, and that is no gap.
    return subject.source is not None or covers != ("dockerfile",)


def _show(reports: tuple[ScanReport, ...]) -> None:
    rows = [
        {
            "scanner": report.scanner,
            "looks for": ", ".join(report.covers),
            "status": report.status,
            "findings": len(report.findings),
            "seconds": f"{report.seconds:.1f}",
            "data of": report.data_from,
            "why": report.reason,
        }
        for report in reports
    ]
    artifacts.table("scanners", rows, "What the scanners said")
    findings = [
        {
            "severity": finding.severity,
            "rule": finding.rule,
            "where": finding.where,
            "what": finding.title,
            "fixed in": finding.fixed_in,
            "scanner": finding.scanner,
        }
        for report in reports
        for finding in report.findings
    ]
    artifacts.table("findings", findings, "Every finding, whatever its severity")
