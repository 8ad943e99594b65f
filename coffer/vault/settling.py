"""Makes the vault's key objects agree with its configuration: each key wrapped to whom it should be, and to no other.

Every change of recipients or writers publishes its configuration first and settles then. So a change that is cut
short locks nobody out, and settling again completes it; what is settled already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from coffer.errors import IntegrityError, NotAllowed, NotThere, RefusedByPolicy, UsageError
from coffer.keys.opener import Opener
from coffer.vault import key_objects, names
from coffer.vault.configuration import Configuration, RecipientRecord
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store


@dataclass
class Settled:
    """What settling did.

    Attributes:
        rewrapped: Keys that were wrapped anew.
        removed: Old key objects that were removed, each store counted.
        left: Old key objects that a store would not delete, each store counted.
        problems: Key objects that are not genuine, or open for nobody here: left as they are.
    """

    rewrapped: int = 0
    removed: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return bool(self.rewrapped or self.removed or self.left)


class Settling:
    """Settles one vault; every store must answer.

    Args:
        stores: Its stores.
        configuration: Who opens what.
        opener: Who settles: opens every key.
        root_secret: Signs what is wrapped anew.
    """

    def __init__(self, stores: StoreSet, configuration: Configuration, opener: Opener, root_secret: bytes) -> None:
        self._stores = stores
        self._configuration = configuration
        self._opener = opener
        self._root_secret = root_secret
        self._settled = Settled()

    def run(self) -> Settled:
        """Settle every key; all that is needed is durable in every store before anything old is removed.

        Raises:
            Unreachable: A store does not answer.
            CofferError: What a store said that took no key.
        """
        self._everywhere(self._stores.where(f"{names.CONFIGURATION}/", every_store=True))
        found = self._stores.where(f"{names.KEYS}/", every_store=True)
        places: dict[str, dict[str, list[Store]]] = {}
        for name, stores in found.items():
            places.setdefault(name.split("/")[1], {})[name] = stores
        for place, objects in sorted(places.items()):
            self._settle(place, objects)
        return self._settled

    def _settle(self, place: str, objects: dict[str, list[Store]]) -> None:
        purpose, _, hexadecimal = place.partition("-")
        configuration = self._configuration
        if purpose == key_objects.PASSPHRASE:
            known = any(each.fingerprint.hex() == hexadecimal for each in configuration.recipients)
            self._everywhere(objects) if known else self._forget(objects)
        elif purpose != key_objects.INDEX:
            self._settle_key(purpose, objects, configuration.recipients)
        elif any(each[: key_objects.ID_SIZE].hex() == hexadecimal for each in configuration.index_keys):
            self._settle_key(purpose, objects, configuration.name_readers)
        # An index key that no configuration names stays: it is harmless, and should a newer configuration be hidden
        # from whoever settles, it is what opens all names from then on.

    def _settle_key(self, purpose: str, objects: dict[str, list[Store]], wanted: list[RecipientRecord]) -> None:
        """Keep one object that the root made for exactly these recipients; make it if there is none.

        What a writer wrapped is wrapped anew: whether its wraps for others open, nobody here can tell.
        """
        recipients = {each.fingerprint for each in wanted}
        good: str | None = None
        key: tuple[bytes, bytes] | None = None
        genuine = []
        gone = 0
        for name in objects:
            try:
                data = self._stores.read(name)
                record = key_objects.open_record(data, name, self._configuration)
                opened = key_objects.open_wrap(record, self._opener)
            except NotThere:  # a prune removed it since the keys were listed
                gone += 1
                continue
            except (IntegrityError, UsageError) as error:
                self._settled.problems.append(f"{name}: {error}")
                continue
            genuine.append(name)
            if opened is None:
                continue
            key = (record.id, opened)
            by_root = key_objects.is_by_root(data, self._configuration)
            if by_root and {each.recipient for each in record.wraps} == recipients:
                good = name
        if gone == len(objects):
            return
        if key is None:
            self._settled.problems.append(f"{next(iter(objects))}: it opens for nobody here")
            return
        if good is None:
            good, data = key_objects.wrap(self._configuration.vault, purpose, *key, wanted, self._root_secret)
            self._put(good, data)
            self._lock_alike(good, objects)
            self._settled.rewrapped += 1
        else:
            self._everywhere({good: objects[good]})
        self._forget({name: objects[name] for name in genuine if name != good})

    def _lock_alike(self, new: str, objects: dict[str, list[Store]]) -> None:
        """Lock a new key object as long as any of those whose place it takes: it is what opens locked content now."""
        for store in self._stores.stores:
            if store.keeps_locks:
                locks = [store.locked_until(name) for name, holders in objects.items() if store in holders]
                until = max((lock for lock in locks if lock is not None), default=None)
                if until is not None:
                    store.lock([new], until)

    def _everywhere(self, objects: dict[str, list[Store]]) -> None:
        """Bring objects to the stores that lack them."""
        for name, holders in objects.items():
            lacking = [store for store in self._stores.stores if store not in holders]
            if lacking:
                self._put(name, self._stores.read(name), lacking)

    def _put(self, name: str, data: bytes, stores: Iterable[Store] | None = None) -> None:
        for store in self._stores.stores if stores is None else stores:
            store.put(name, data)

    def _forget(self, objects: dict[str, list[Store]]) -> None:
        for name, stores in objects.items():
            for store in stores:
                try:
                    store.delete(name)
                    self._settled.removed += 1
                except (NotAllowed, RefusedByPolicy):
                    self._settled.left += 1
