"""Drills: proof that a service comes back, told so that a person believes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from prefect import get_run_logger
from prefect.runtime import flow_run

from coffer import environments
from coffer.errors import IntegrityError, UsageError
from coffer.recovery.access import IDENTITY_VARIABLE
from coffer.recovery.drill import run_drill
from coffer.recovery.drill_request import drill_request
from coffer.recovery.report import DrillReport
from coffer.recovery.report_page import page
from coffer.recovery.report_trend import table
from coffer.recovery.sabotage import Sabotage
from coffer.recovery.target import RestoreTarget
from tasks import artifacts, events
from tasks.policies import remembered

REPORTS_VARIABLE = "COFFER_REPORTS"


@remembered("drill", retries=0)
def drill(environment: str, moment: str, seed: int, sabotage: str) -> DrillReport:
    """Restore to a moment in isolation, ask the service its own questions, and report.

    Args:
        environment: Whose recovery.
        moment: ISO 8601 with offset, `latest`, or empty to draw one from the window.
        seed: Seed of the draw.
        sabotage: What to damage on purpose; empty for nothing.
    """
    settings = environments.load(environment)
    identity = os.environ.get(IDENTITY_VARIABLE)
    if not identity:
        raise UsageError(
            "this worker has no identity, so it cannot drill", resolution="Run drills in the pool coffer-escrow"
        )
    request = drill_request(
        settings,
        identity=Path(identity),
        target=_target(moment),
        seed=seed,
        sabotage=Sabotage(sabotage) if sabotage else None,
    )
    return run_drill(request, log=get_run_logger().info)


def judge(report: DrillReport) -> None:
    """Leave the report where people look, tell, and fail the run if the drill failed.

    Raises:
        IntegrityError: The drill failed; the damage is named.
    """
    _show(report)
    event = events.DRILL_PASSED if report.ok else events.DRILL_FAILED
    detail = "; ".join(report.damage)
    payload = {"environment": report.environment, "rto_seconds": report.rto_seconds, "detail": detail}
    events.emit(event, report.service, payload)
    if not report.ok:
        raise IntegrityError(f"the drill of {report.environment} failed", detail=detail)


def _target(moment: str) -> RestoreTarget | None:
    if not moment:
        return None
    return RestoreTarget() if moment == "latest" else RestoreTarget.parse_time(moment)


def _show(report: DrillReport) -> None:
    where = _write_page(report)
    lines = [
        f"**{'Passed' if report.ok else 'FAILED'}**: point {report.point or 'none'} to {report.target or 'nowhere'}",
        "",
        *artifacts.markdown_table(
            ("phase", "seconds"), [(phase.name, f"{phase.seconds:.2f}") for phase in report.phases]
        ),
        "",
        *artifacts.markdown_table(
            ("question", "answer", "detail"),
            [(check.name, "yes" if check.ok else "NO", check.detail) for check in report.checks],
        ),
        "",
        f"Recovery time {report.rto_seconds:.1f} s, promised {report.rto_promise:.0f} s."
        if report.rto_seconds is not None
        else "No correct answer was reached.",
        *(f"Lost at most, {part}: {seconds:.1f} s." for part, seconds in report.rpo_seconds.items()),
        "",
        *_trend(report),
        f"The page with the timeline: [{where.name}]({where.resolve().as_uri()})",
    ]
    artifacts.report("drill", f"Drill of {report.environment}", lines)


def _trend(report: DrillReport) -> list[str]:
    rows = table(report.trend)
    if len(rows) < 2:
        return []
    header = ("the last drills", "point", "result", "recovery time", "lost at most")
    return [*artifacts.markdown_table(header, rows), ""]


def _write_page(report: DrillReport) -> Path:
    folder = Path(os.environ.get(REPORTS_VARIABLE) or "reports")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drill-{report.environment}-{flow_run.id}.html"
    path.write_text(page(report))
    path.with_suffix(".json").write_text(json.dumps(report.as_dict(), default=str, indent=2) + "\n")
    return path
