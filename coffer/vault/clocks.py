"""The stores' clocks: what ages are counted by, and what one's own clock is compared with."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from coffer.errors import CofferError, RefusedByPolicy
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

SKEW = timedelta(minutes=5)
"""How far one's own clock may be off."""


def read(stores: Iterable[Store]) -> dict[str, datetime]:
    """Return the time by each store's clock, by address.

    Raises:
        Unreachable: A store does not answer.
    """
    return {store.url: store.now() for store in stores}


def read_some(stores: StoreSet) -> dict[str, datetime]:
    """Return the time by the clock of each store that answers; what the others said is noted."""
    found: dict[str, datetime] = {}
    for store in stores.stores:
        try:
            found[store.url] = store.now()
        except CofferError as error:
            stores.note(f"{store.url}: {error}")
    return found


def check(clocks: dict[str, datetime], now: datetime) -> None:
    """Compare one's own clock with the stores'.

    Raises:
        RefusedByPolicy: It is more than five minutes off; it says by how much.
    """
    for url, theirs in clocks.items():
        off = now - theirs
        if abs(off) > SKEW:
            raise RefusedByPolicy(
                f"The clock runs {'before' if off > timedelta() else 'behind'} the store's",
                detail=f"by {abs(off)}: here it is {now.isoformat()}, at {url} {theirs.isoformat()}",
                resolution="Set the clock",
            )


class RunClock:
    """How long a run has taken: by the stores' clocks, since this host may have slept, and by this host's."""

    def __init__(self, stores: StoreSet) -> None:
        self._stores = stores
        self._began = time.monotonic()
        self._theirs = read_some(stores)

    def elapsed(self) -> timedelta:
        """Return the longest time that any clock has seen."""
        now = read_some(self._stores)
        seen = [now[url] - began for url, began in self._theirs.items() if url in now]
        return max([timedelta(seconds=time.monotonic() - self._began), *seen])
