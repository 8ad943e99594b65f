"""One target of a replication: what it holds, what a prune there has marked, how long what it takes is locked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from coffer.errors import CofferError, HeldByAnother, IntegrityError, RefusedByPolicy
from coffer.vault.configuration import Configuration
from coffer.vault.prune_guard import PruneGuard
from coffer.vault.replication_plan import WantedPoint
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

_DAY = timedelta(days=1)


class ReplicationTarget:
    """A store that is brought up to date.

    Attributes:
        store: The store.
        failure: Why it was left behind, if it was.
        problems: What it would not take, and why.
        objects: Objects that were put.
        bytes: Their bytes.
    """

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self.store = store
        self.failure: CofferError | None = None
        self.problems: list[str] = []
        self.objects = 0
        self.bytes = 0
        self._configuration = configuration
        self._policy = RetentionPolicy.signed(configuration.retention)
        self._mutex = threading.Lock()
        self.look()

    def look(self) -> None:
        """See what is there, with an eye on marks from before: what is counted on must not be swept meanwhile."""
        self._guard = PruneGuard(StoreSet([self.store]), self._configuration.vault, self._policy.grace)
        self._present = {info.name: info.size for info in self.store.list()}

    def has(self, name: str, size: int) -> bool:
        """Tell whether an object is there in its size; what its bytes are, a verification tells."""
        return self._present.get(name) == size

    def put(self, name: str, data: bytes) -> None:
        """Take an object; a failure is kept, so that the other targets go on."""
        try:
            if self.failure is None:
                self.store.put(name, data)
                with self._mutex:
                    self._present[name] = len(data)
                    self.objects += 1
                    self.bytes += len(data)
        except IntegrityError as error:
            self.problems.append(str(error))
        except CofferError as error:
            self.failure = error

    def commit(self, point: WantedPoint, sizes: dict[str, int], manifests: Sequence[tuple[str, bytes]]) -> bool:
        """Put a point's manifest where all that it needs is there and locked; return whether the point is there.

        Raises:
            HeldByAnother: A prune of this store has marked something of it.
            RefusedByPolicy: The copying took too long for marks to tell: look again.
        """
        if not all(self.has(name, sizes[name]) for name in point.needed):
            return False
        try:
            until = self._lock_date(point)
            if until is not None:
                self.store.lock(point.needed, until)
            lacking = [(name, data) for name, data in manifests if not self.has(name, len(data))]
            if lacking:
                self._guard.check(point.needed)
            for name, data in lacking:
                self.put(name, data)
            if until is not None and self.failure is None:
                self.store.lock([name for name, _ in manifests], until)
        except (HeldByAnother, RefusedByPolicy):
            raise
        except CofferError as error:
            self.failure = error
        return self.failure is None and all(self.has(name, len(data)) for name, data in manifests)

    def _lock_date(self, point: WantedPoint) -> datetime | None:
        """Return until when the root's policy keeps a point, unless that is past or it is locked so already.

        A manifest is locked last: what it names is locked for at least as long.
        """
        if not self._policy.window or not self.store.keeps_locks:
            return None
        until = (point.started + self._policy.window).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        if until <= self.store.now():
            return None
        there = [name for name in point.manifests if name in self._present]
        held = [self.store.locked_until(name) for name in there]
        if len(there) == len(point.manifests) and all(each is not None and each >= until for each in held):
            return None
        return until
