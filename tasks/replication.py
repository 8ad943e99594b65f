"""Bringing every region to the same state, and asking for the proof that only escrow can give."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.errors import CofferError
from coffer.prefect_api import PrefectApi
from coffer.recovery.access import VaultAddress
from coffer.vault.replication import replicate
from coffer.vault.store_set import gravest
from tasks.policies import acting


@acting("bring regions level")
def level(environment: str) -> None:
    """Copy to each store what another has and it lacks: one that was away catches up.

    Raises:
        IntegrityError: What a store lacks is nowhere as it was written.
        OutsideSystemError: A store is still away.
    """
    stores = VaultAddress.of(environments.load(environment)).open_stores()
    failures: list[CofferError] = []
    for number, target in enumerate(stores):
        others = [store for store in stores if store is not target]
        if not others:
            return
        try:
            report = replicate(others, [target])
            get_run_logger().info("to region %d: %s", number + 1, report)
            report.raise_for_problems()
        except CofferError as error:  # what one region lacks, another may still be given
            failures.append(error)
    if failures:
        raise gravest(failures)


@acting("ask for read-back")
def ask_for_read_back(environment: str, point: str) -> None:
    """Start the run that opens and hashes everything; it needs the identity, which this worker does not have.

    Raises:
        NotThere: Its deployment was never applied.
    """
    parameters = {"environment": environment, "read_back": True, "point": point}
    started = PrefectApi.from_environment().start(f"vault-verify/{environment}", parameters, key=f"read-back-{point}")
    get_run_logger().info("read-back of %s is run %s", point, started.run.name)
