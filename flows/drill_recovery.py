"""Drill: restore to a moment in isolation → replay → promote → ask → report → record."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from coffer import environments
from tasks import drills, ledger


@flow(name="drill", flow_run_name="{environment}")
def drill_recovery(
    environment: str,
    time: str = "",
    seed: int = 0,
    sabotage: Literal[
        "",
        "flipped-page",
        "missing-segment",
        "wrong-key",
        "older-replica",
        "stale-point",
        "truncated-pack",
        "dropped-table",
        "missing-file",
    ] = "",
) -> dict[str, object]:
    """Prove that a service comes back, with the key from escrow and the image that ran.

    Args:
        environment: Name of the environment.
        time: The moment to restore to, ISO 8601 with offset; "latest"; empty draws one from the window.
        seed: Draws the moment; the same seed draws the same one.
        sabotage: Damage the copy on purpose: the drill must then fail and name the damage.
    """
    environments.load(environment)
    report = drills.drill(environment, time, seed, sabotage)
    summary = {"ok": report.ok, "point": report.point, "target": report.target, "rto_seconds": report.rto_seconds}
    ledger.record(environment, "drill.passed" if report.ok else "drill.failed", report.point or "none", summary)
    drills.judge(report)
    return {**summary, "rpo_seconds": report.rpo_seconds, "rows": report.rows}
