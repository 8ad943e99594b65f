"""Keeps a drill's result beside the point that it restored: a prune and `coffer points` count on it."""

from __future__ import annotations

from collections.abc import Callable

from coffer.errors import CofferError, IntegrityError
from coffer.recovery.report import REPLAY, RESTORES, DrillReport
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
    facts |= {f"rpo_seconds_{part}": seconds for part, seconds in report.rpo_seconds.items()}
    try:
        record_drill(reader, point, result_of(report), "; ".join(report.damage), facts)
    except CofferError as error:
        log(f"the drill's result is not kept beside the point: {error}")


def result_of(report: DrillReport) -> Result:
    """Return what a drill says of its point: broken promises and outside failures are not the point's damage."""
    if report.ok:
        return Result.PASSED
    return Result.DAMAGED if report.exit_code == IntegrityError.exit_code else Result.FAILED
