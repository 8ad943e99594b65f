"""Prove that everything in a vault can be had back."""

from __future__ import annotations

from prefect import flow

from coffer import environments
from tasks import ledger, verification


@flow(name="vault-verify", flow_run_name="{environment}")
def verify_vault(environment: str, read_back: bool = True, point: str = "", everything: bool = False) -> str:
    """Verify a vault.

    Args:
        environment: Name of the environment.
        read_back: Open and hash what is due, which needs the identity (escrow pool); else only the bytes at rest.
        point: Name of one point to read back; empty for what is due of all of them.
        everything: Read back all of it, and all WAL, whatever was read lately.
    """
    environments.load(environment)
    if not read_back:
        report = verification.check_at_rest(environment)
    elif everything:
        report = verification.read_back_everything(environment)
    else:
        report = verification.read_back(environment, point)
    ledger.record(environment, "vault.verified", "read back" if read_back else "at rest", {"result": str(report)})
    return str(report)
