"""Prove that everything in a vault can be had back."""

from __future__ import annotations

from prefect import flow

from coffer import environments
from tasks import ledger, verification


@flow(name="vault-verify", flow_run_name="{environment}")
def verify_vault(environment: str, read_back: bool = True, point: str = "") -> str:
    """Verify a vault.

    Args:
        environment: Name of the environment.
        read_back: Open and hash everything, which needs the identity (escrow pool); else only the bytes at rest.
        point: Name of one point to read back; empty for all of them.
    """
    environments.load(environment)
    report = verification.read_back(environment, point) if read_back else verification.check_at_rest(environment)
    ledger.record(environment, "vault.verified", "read back" if read_back else "at rest", {"result": str(report)})
    return str(report)
