"""What keeps a run from naming what a prune is about to sweep.

Why it is enough: what a point shares is not marked when the run begins, and not when its manifest is put. Had it been
marked in between, it would be seen; had the mark come and gone in between, the run would have taken longer than half
of what a mark waits, and is refused. So a mark can only come after the manifest, or so shortly before that the sweep,
which reads all manifests anew, comes after it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from coffer.errors import HeldByAnother, RefusedByPolicy
from coffer.vault import marks
from coffer.vault.clocks import RunClock
from coffer.vault.lost_objects import runs_of
from coffer.vault.store_set import StoreSet


class PruneGuard:
    """One run's eye on the marks.

    Args:
        stores: The vault's stores.
        vault: Its id.
        grace: How long a mark stands, as the root signed it.

    Raises:
        IntegrityError: A mark does not read.
        HeldByAnother: A prune is just sweeping.
        Unreachable: No store answers.
    """

    def __init__(self, stores: StoreSet, vault: bytes, grace: timedelta) -> None:
        self._stores = stores
        self._vault = vault
        self._limit = grace / 2
        self._clock = RunClock(stores)
        self._seen: dict[str, frozenset[str]] = {}
        self.refresh()

    @property
    def marked(self) -> frozenset[str]:
        """Names of all objects that a mark names, as of the last look."""
        return frozenset[str]().union(*self._seen.values())

    @property
    def marked_runs(self) -> frozenset[str]:
        """Ids, in hex, of the runs whose keys are marked: what is in their packs must not be shared either."""
        return runs_of(self.marked)

    def refresh(self) -> None:
        """Look again; raises as making one does. What was marked once stays marked for this run."""
        self._seen |= marks.read_all(self._stores, self._vault, self._seen)

    def check(self, objects: Collection[str]) -> None:
        """Look again, directly before a manifest is put.

        Args:
            objects: All that the point names.

        Raises:
            HeldByAnother: One of them was marked meanwhile.
            RefusedByPolicy: The run took too long for marks to protect it.
        """
        self.refresh()
        if found := sorted(self.marked.intersection(objects)):
            raise HeldByAnother(
                "A prune has marked what this point would share",
                detail=f"{len(found)} objects, {found[0]} among them",
                resolution="Run it again: it will be stored anew",
            )
        self.check_time()

    def check_time(self) -> None:
        """Make sure that marks still protect the run; also after a manifest was put, for this host may have slept.

        Raises:
            RefusedByPolicy: They do not: what it shared may be gone.
        """
        elapsed = self._clock.elapsed()
        if elapsed > self._limit:
            raise RefusedByPolicy(
                "The run took too long to be safe from a prune",
                detail=f"{elapsed}, at most {self._limit}: half the grace period",
                resolution="Sign a longer grace-hours with 'coffer vault retention set'",
            )
