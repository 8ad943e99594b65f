"""Proving that what was stored can be had back."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.errors import IntegrityError
from coffer.recovery.access import VaultAddress, open_reader
from coffer.vault.verification import VerifyReport, verify_at_rest
from tasks import artifacts, events
from tasks.policies import acting


@acting("verify bytes at rest")
def check_at_rest(environment: str) -> VerifyReport:
    """Hash every object of every store against its name. Needs no key.

    Raises:
        IntegrityError: Something is damaged or missing; the first problems are named.
    """
    settings = environments.load(environment)
    report = verify_at_rest(VaultAddress.of(settings).open_stores())
    return _judge(report, settings.service.name, "at rest")


@acting("read back")
def read_back(environment: str, point: str) -> VerifyReport:
    """Fetch, open and hash everything that a point names, or every point. Needs the identity: the escrow pool's.

    Args:
        environment: Whose vault.
        point: Name of one point; empty for all of them.

    Raises:
        IntegrityError: Something cannot be had back; the first problems are named.
    """
    settings = environments.load(environment)
    reader = open_reader(settings)
    report = reader.verify([reader.point(point, settings.service.name)] if point else None)
    return _judge(report, settings.service.name, "read back")


def _judge(report: VerifyReport, service: str, what: str) -> VerifyReport:
    get_run_logger().info("%s: %s", what, report)
    rows = [{"problem": str(problem)} for problem in report.problems] or [{"problem": "none"}]
    artifacts.table(f"verification-{what.replace(' ', '-')}", rows, f"Vault of {service}, {what}: {report}")
    if report.problems:
        raise IntegrityError(
            f"the vault of {service} is damaged",
            detail="; ".join(str(problem) for problem in report.problems[:5]),
            resolution="Restore still works from the other stores; mend with coffer replicate",
        )
    events.emit("coffer.point.verified", service, {"how": what})
    return report
