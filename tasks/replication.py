"""Bringing every region to the same state, and asking for the proof that only escrow can give."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.prefect_api import PrefectApi
from coffer.recovery.access import VaultAddress
from coffer.vault.replication import replicate
from tasks.policies import acting


@acting("bring regions level")
def level(environment: str) -> None:
    """Copy to each store what another has and it lacks: one that was away catches up.

    Raises:
        OutsideSystemError: A store is still away.
    """
    stores = VaultAddress.of(environments.load(environment)).open_stores()
    for number, source in enumerate(stores):
        others = [store for store in stores if store is not source]
        report = replicate(source, others)
        get_run_logger().info("from region %d: %s", number + 1, report)


@acting("ask for read-back")
def ask_for_read_back(environment: str, point: str) -> None:
    """Start the run that opens and hashes everything; it needs the identity, which this worker does not have.

    Raises:
        NotThere: Its deployment was never applied.
    """
    parameters = {"environment": environment, "read_back": True, "point": point}
    started = PrefectApi.from_environment().start(f"vault-verify/{environment}", parameters, key=f"read-back-{point}")
    get_run_logger().info("read-back of %s is run %s", point, started.run.name)
