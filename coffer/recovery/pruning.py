"""From an environment to a prune of its vault."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coffer.environments import Environment
from coffer.errors import UsageError
from coffer.keys import PrunerCredentials
from coffer.recovery.access import VaultAddress, recovery_of
from coffer.vault.prune_plan import PrunePlan, PruneReport
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores import Store, open_store

PRUNER_VARIABLE = "COFFER_PRUNER"


@dataclass(frozen=True)
class VaultPrune:
    """What an environment's prune needs.

    Attributes:
        stores: The vault's stores, as the pruner reaches them: with the store identity that may delete.
        pruner: Which vault, and whose configuration to believe.
        policy: What the environment keeps beyond what the root signed.
    """

    stores: list[Store]
    pruner: PrunerCredentials
    policy: RetentionPolicy | None

    @classmethod
    def of(cls, environment: Environment, pruner: Path | None = None) -> VaultPrune:
        """Put it together.

        Args:
            environment: Whose vault.
            pruner: The pruner's file; default: $COFFER_PRUNER.

        Raises:
            UsageError: The environment protects nothing, or no pruner was named.
        """
        named = pruner or os.environ.get(PRUNER_VARIABLE)
        if not named:
            raise UsageError(
                "no pruner was given, so nothing can be removed",
                resolution=f"Set {PRUNER_VARIABLE} to the pruner's file; only the escrow worker has it",
            )
        credentials = PrunerCredentials.load(Path(named))
        address = VaultAddress.of(environment)
        files = credentials.credentials_file or address.credentials_file
        stores = [open_store(url, credentials_file=files) for url in address.stores]
        return cls(stores, credentials, keep_of(environment))

    def plan(self) -> PrunePlan:
        """Decide; touches nothing. Raises as `plan_prune` does."""
        return plan_prune(self.stores, self.pruner, self.policy)

    def execute(self, plan: PrunePlan) -> PruneReport:
        """Do what a plan says. Raises as `pruning.execute` does."""
        return execute(plan, self.stores)


def keep_of(environment: Environment) -> RetentionPolicy | None:
    """Return what an environment keeps beyond what its vault's root signed; None where it says nothing."""
    keep = recovery_of(environment).keep
    if keep is None:
        return None
    return RetentionPolicy.parse(keep.model_dump(by_alias=True), f"[recovery.keep] of {environment.name}")
