"""Proving that what was stored can be had back."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.errors import IntegrityError
from coffer.recovery.access import VaultAddress, open_reader, recovery_of
from coffer.vault.proving import Proving, prove_due, prove_points
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
    """Fetch, open and hash what was not for some days, of one point or of all, and keep the result beside each.

    What was never read comes first, then what was read longest ago; the environment file says within how many days
    everything is read, and how much a run may read. Needs the identity: the escrow pool's.

    Args:
        environment: Whose vault.
        point: Name of one point, which is read without a budget; empty for all of them.

    Raises:
        IntegrityError: Something cannot be had back; the first problems are named.
    """
    settings = environments.load(environment)
    reader, due = open_reader(settings), recovery_of(settings).read_back
    only = reader.point(point, settings.service.name) if point else None
    proving = prove_due(reader, due.within, None if point else due.budget, only=only)
    _show(proving)
    return _judge(proving.report, settings.service.name, "read back")


@acting("read back everything")
def read_back_everything(environment: str) -> VerifyReport:
    """Fetch, open and hash every point and all WAL, however lately that was done. Raises as `read_back` does."""
    settings = environments.load(environment)
    proving = prove_points(open_reader(settings))
    _show(proving)
    return _judge(proving.report, settings.service.name, "read back")


def _show(proving: Proving) -> None:
    rows = [
        {"point": each.point, "service": each.service, "result": each.result.value, "detail": each.detail}
        for each in proving.proofs
    ]
    artifacts.table("proofs", rows, "What was proven of which point")
    logger = get_run_logger()
    for proof in proving.proofs:
        logger.info("%s: %s %s", proof.point, proof.result.value, proof.detail)
    for note in proving.notes:
        logger.warning(note)
    if proving.plan is not None and proving.plan.late:
        size = artifacts.size(proving.plan.late_size)
        logger.warning("%d packs, %s, are beyond the budget and were not read in time", proving.plan.late, size)


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
