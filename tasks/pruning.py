"""Removing what no rule keeps, told so that a person sees what went and why."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger

from coffer import environments
from coffer.recovery.pruning import VaultPrune
from coffer.vault.prune_plan import PrunePlan, PruneReport
from tasks import artifacts, events
from tasks.policies import acting


@acting("prune")
def prune(environment: str, dry_run: bool) -> dict[str, Any]:
    """Mark what nothing needs any more, and remove what was marked a grace period ago.

    Args:
        environment: Whose vault.
        dry_run: Decide and tell, and touch nothing.

    Returns:
        Numbers for the ledger.

    Raises:
        RefusedByPolicy: Points stay because nothing was proven, or the clock is off.
        IntegrityError: The vault is damaged: nothing is removed then.
        Unreachable: A store does not answer: nothing is removed then.
    """
    settings = environments.load(environment)
    work = VaultPrune.of(settings)
    plan = work.plan()
    _show_plan(plan, settings.service.name)
    report = PruneReport() if dry_run else work.execute(plan)
    _tell(plan, report, dry_run=dry_run)
    summary = {
        "dry_run": dry_run,
        "points": len(report.points),
        "objects": report.objects,
        "bytes": report.bytes,
        "marked": report.marked,
        "locked": len(report.locked),
    }
    events.emit("coffer.vault.pruned", settings.service.name, {"environment": environment, **summary})
    plan.raise_for_refusals()
    return summary


def _show_plan(plan: PrunePlan, service: str) -> None:
    rows = [
        {
            "point": verdict.point.name,
            "service": verdict.point.service,
            "verdict": "held" if verdict.held else "keep" if verdict.keep else "remove",
            "reason": verdict.reason,
        }
        for verdict in plan.verdicts
    ]
    artifacts.table("prune", rows, f"Recovery points of {service}: what stays, what goes, and why")


def _tell(plan: PrunePlan, report: PruneReport, *, dry_run: bool) -> None:
    logger = get_run_logger()
    for note in plan.notes:
        logger.warning(note)
    for verdict in plan.verdicts:
        if not verdict.keep or verdict.held:
            logger.info("%s %s: %s", "held" if verdict.held else "remove", verdict.point.name, verdict.reason)
    if dry_run:
        logger.info("would remove %d objects, %s", plan.count, artifacts.size(plan.bytes))
    else:
        logger.info(
            "removed %d points, %d objects, %s; marked %d for %g h",
            *(len(report.points), report.objects, artifacts.size(report.bytes)),
            *(report.marked, plan.policy.grace_hours),
        )
    if plan.waiting:
        until = min(plan.waiting.values())
        logger.info("%d objects wait, the first until %s", len(plan.waiting), until.isoformat(timespec="minutes"))
    for (url, name), until in sorted(report.locked.items()):
        logger.info("locked until %s: %s in %s", until.isoformat(timespec="minutes"), name, url)
