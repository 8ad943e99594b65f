"""Keeps a drill's result beside the point that it restored: a prune and `coffer points` count on it."""

from __future__ import annotations

from collections.abc import Callable

from coffer.errors import CofferError, IntegrityError
from coffer.recovery.report import REPLAY, RESTORES, DrillReport
from coffer.recovery.trend import Drilled, drills_of
from coffer.vault.points import Point
from coffer.vault.proofs import Result
from coffer.vault.proving import record_drill
from coffer.vault.reader import VaultReader


def keep(reader: VaultReader, point: Point, report: DrillReport, log: Callable[[str], None]) -> None:
    """Write a drill's result down; that it could not be is said, and makes no drill fail.

    A drill with sabotage says nothing about the point, and is not kept.
    """
    if report.sabotage:
        return
    try:
        record_drill(reader, point, result_of(report), "; ".join(report.damage), _facts(report))
    except CofferError as error:
        log(f"the drill's result is not kept beside the point: {error}")


def trend_with(reader: VaultReader, report: DrillReport, log: Callable[[str], None]) -> list[Drilled]:
    """Return the drills that are kept, oldest first; one with sabotage, which is not kept, comes last all the same."""
    try:
        known = drills_of(reader.proofs(), report.service)
    except CofferError as error:
        log(f"earlier drills are not known: {error}")
        known = []
    if not report.sabotage and known:
        return known
    mine = Drilled(report.started, report.point, report.ok, report.rto_seconds, dict(report.rpo_seconds))
    return [*known, mine]


def _facts(report: DrillReport) -> dict[str, str | int | float | bool | None]:
    facts: dict[str, str | int | float | bool | None] = {
        "environment": report.environment,
        "target": report.target,
        "rto_seconds": report.rto_seconds,
        "rows": sum(report.rows.values()),
        "wal_files": report.wal_files,
        "wal_bytes": report.wal_bytes,
        "replay_seconds": report.seconds_of(REPLAY),
        "restored_bytes": report.restored_bytes,
        "restore_seconds": report.seconds_of(*RESTORES),
    }
    return facts | {f"rpo_seconds_{part}": seconds for part, seconds in report.rpo_seconds.items()}


def result_of(report: DrillReport) -> Result:
    """Return what a drill says of its point: broken promises and outside failures are not the point's damage."""
    if report.ok:
        return Result.PASSED
    return Result.DAMAGED if report.exit_code == IntegrityError.exit_code else Result.FAILED
