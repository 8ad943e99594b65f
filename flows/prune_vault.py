"""Remove recovery points that no rule keeps: decide → mark → (wait) → sweep → record."""

from __future__ import annotations

from typing import Any

from prefect import flow

from coffer import environments
from tasks import ledger, pruning


@flow(name="vault-prune", flow_run_name="{environment}")
def prune_vault(environment: str, dry_run: bool = False) -> dict[str, Any]:
    """Prune a vault. What goes was marked by a run at least a grace period earlier.

    Args:
        environment: Name of the environment.
        dry_run: Decide and tell, and touch nothing.
    """
    environments.load(environment)
    summary: dict[str, Any] = pruning.prune(environment, dry_run)
    if not dry_run:
        ledger.record(environment, "vault.pruned", f"{summary['points']} points", summary)
    return summary
