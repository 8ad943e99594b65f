"""Chunks out of a vault: located, fetched from the first store that has a good one, opened, proven, kept a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from coffer.errors import IntegrityError
from coffer.vault import names, packs
from coffer.vault.chunk_index import Location, PackRecord
from coffer.vault.index_keys import IndexKeys
from coffer.vault.packs import RunKey
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

_CACHE_BYTES = 48 << 20


class ChunkReader:
    """Reads chunks by id; safe to call from several threads.

    Args:
        stores: Where the packs are.
        keys: The vault's index keys.
        locations: Where each chunk is.
        run_key: Returns the key of a run.
    """

    def __init__(
        self,
        stores: StoreSet,
        keys: IndexKeys,
        locations: Mapping[bytes, Location],
        run_key: Callable[[bytes], RunKey],
    ) -> None:
        self._stores = stores
        self._keys = keys
        self._locations = locations
        self._run_key = run_key
        self._content_keys: dict[str, bytes] = {}
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def read(self, chunk_id: bytes) -> bytes:
        """Return a chunk's content.

        Raises:
            IntegrityError: No store holds it as it was written, or it is missing from every one.
            Unreachable: No store that might hold it answers.
        """
        with self._lock:
            cached = self._cache.get(chunk_id)
            if cached is not None:
                self._cache.move_to_end(chunk_id)
                return cached
        place = self.locate(chunk_id)
        content = self._stores.first_needed(place.pack.name, lambda store: self._from_store(store, chunk_id, place))
        self._remember(chunk_id, content)
        return content

    def locate(self, chunk_id: bytes) -> Location:
        """Return where a chunk is.

        Raises:
            IntegrityError: The point's indexes do not know it.
        """
        place = self._locations.get(chunk_id)
        if place is None:
            raise IntegrityError("A point names a chunk that its indexes do not know", detail=chunk_id.hex())
        return place

    def content_key(self, pack: PackRecord) -> bytes:
        """Return the key that opens a pack's chunks."""
        key = self._content_keys.get(pack.name)
        if key is None:
            key = self._run_key(pack.run).unwrap(names.ObjectName.parse(pack.name).id, pack.wrapped_key, pack.name)
            self._content_keys[pack.name] = key
        return key

    def open(self, chunk_id: bytes, place: Location, sealed: bytes) -> bytes:
        """Open a chunk's sealed bytes; raises as `read` does."""
        return packs.open_chunk(self._keys, self.content_key(place.pack), chunk_id, place, sealed)

    def _from_store(self, store: Store, chunk_id: bytes, place: Location) -> bytes:
        sealed = store.get(place.pack.name, place.offset, place.sealed)
        try:
            return self.open(chunk_id, place, sealed)
        except IntegrityError as damaged:
            wanted = names.ObjectName.parse(place.pack.name)
            for version in store.older(place.pack.name):
                if names.name_of(wanted.prefix, wanted.id, version) == place.pack.name:
                    return self.open(chunk_id, place, version[place.offset : place.offset + place.sealed])
            raise IntegrityError(damaged.summary, detail=f"{damaged.detail} ({store.url})") from damaged

    def _remember(self, chunk_id: bytes, content: bytes) -> None:
        with self._lock:
            if chunk_id not in self._cache:
                self._cache[chunk_id] = content
                self._cached += len(content)
            while self._cached > _CACHE_BYTES:
                self._cached -= len(self._cache.popitem(last=False)[1])
