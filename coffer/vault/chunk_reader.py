"""Chunks out of a vault: found in their packs, fetched from the first store that has good ones, opened, proven."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from coffer.errors import IntegrityError, NotThere
from coffer.vault import names, packs
from coffer.vault.chunk_index import Location, PackRecord
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.index_keys import IndexKeys
from coffer.vault.rate_limit import RateLimit
from coffer.vault.run_keys import RunKey
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Buffer, Store


@dataclass(frozen=True)
class Range:
    """A part of a pack as a store gave it.

    Attributes:
        store: Which store.
        begin: Where in the pack it begins.
        data: The bytes.
    """

    store: Store
    begin: int
    data: bytes


class ContentKeys:
    """Keys of packs, each unwrapped once.

    Args:
        run_key: Returns the key of a run.
    """

    def __init__(self, run_key: Callable[[bytes], RunKey]) -> None:
        self._run_key = run_key
        self._keys: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def of(self, pack: PackRecord) -> bytes:
        """Return the key that opens a pack's chunks.

        Raises:
            IntegrityError: It was wrapped for another pack, or the run's key is not there.
        """
        with self._lock:  # a run's key costs a request
            key = self._keys.get(pack.name)
            if key is None:
                key = self._run_key(pack.run).unwrap(names.ObjectName.parse(pack.name).id, pack.wrapped_key, pack.name)
                self._keys[pack.name] = key
            return key


class ChunkReader:
    """Reads chunks; safe to call from several threads.

    Args:
        stores: Where the packs are.
        keys: The vault's index keys.
        table: Where each chunk is.
        run_key: Returns the key of a run.
        limit: How many bytes a second to ask the stores for.

    Attributes:
        table: Where each chunk is.
    """

    def __init__(
        self,
        stores: StoreSet,
        keys: IndexKeys,
        table: ChunkTable,
        run_key: Callable[[bytes], RunKey],
        limit: RateLimit | None = None,
    ) -> None:
        self.table = table
        self._stores = stores
        self._keys = keys
        self._limit = limit
        self._content_keys = ContentKeys(run_key)
        self._versions: tuple[str, str, bytes | None] = ("", "", None)
        self._lock = threading.Lock()

    def read(self, number: int) -> bytes:
        """Return a chunk's content.

        Raises:
            IntegrityError: No store holds it as it was written, or it is missing from every one.
            Unreachable: No store that might hold it answers.
        """
        place = self.table.place(number)
        return self.open(number, self.fetch(place.pack, place.offset, place.sealed))

    def fetch(self, pack: PackRecord, begin: int, length: int) -> Range:
        """Return a part of a pack from the first store that gives it; nothing is proven of it yet.

        Raises:
            IntegrityError: It is missing from every store.
            Unreachable: No store that might hold it answers.
        """
        if self._limit is not None:
            self._limit.take(length)
        return self._stores.first_needed(
            pack.name, lambda store: Range(store, begin, self._part(store, pack, begin, length))
        )

    def open(self, number: int, fetched: Range) -> bytes:
        """Return a chunk's content, proven; if what was fetched is not genuine, from wherever it is.

        Raises:
            IntegrityError: No store holds it as it was written.
            Unreachable: No store that might hold it answers.
        """
        place = self.table.place(number)
        begin = place.offset - fetched.begin
        try:
            return self._open(number, place, memoryview(fetched.data)[begin : begin + place.sealed])
        except IntegrityError as error:
            content = self._mend(number, place, fetched.store)
            self._stores.note(f"{fetched.store.url}: {error.summary}: {place.pack.name}; read elsewhere")
            return content

    def _open(self, number: int, place: Location, sealed: Buffer) -> bytes:
        return packs.open_chunk(self._keys, self._content_keys.of(place.pack), self.table.id(number), place, sealed)

    def _part(self, store: Store, pack: PackRecord, begin: int, length: int) -> bytes:
        """Read a part from one store; what it hides behind a delete marker or has cut short from its versions."""
        try:
            data = store.get(pack.name, begin, length)
            if len(data) == length:
                return data
            failure: IntegrityError | NotThere = IntegrityError(
                "An object is not what was written", detail=f"{pack.name} ends early in {store.url}"
            )
        except NotThere as absent:
            failure = absent
        whole = self._version(store, pack)
        if whole is None:
            raise failure
        self._stores.note(f"{store.url}: {failure.summary}: {pack.name}; read from an older version of it: tampering")
        return whole[begin : begin + length]

    def _mend(self, number: int, place: Location, bad: Store) -> bytes:
        """Read one chunk again: from the versions in the store that gave a bad one, then from the others."""

        def attempt(store: Store) -> bytes:
            if store is bad:
                whole = self._version(store, place.pack)
                if whole is None:
                    raise IntegrityError("An object is not what was written", detail=f"{place.pack.name} ({store.url})")
                return self._open(number, place, whole[place.offset : place.offset + place.sealed])
            return self._open(number, place, self._part(store, place.pack, place.offset, place.sealed))

        return self._stores.first_needed(place.pack.name, attempt)

    def _version(self, store: Store, pack: PackRecord) -> bytes | None:
        """Return the version of a pack whose SHA-256 is in its name, if the store keeps it; the last one is kept."""
        with self._lock:
            if self._versions[:2] == (store.url, pack.name):
                return self._versions[2]
            wanted = names.ObjectName.parse(pack.name)
            kept = store.older(pack.name)
            found = next((each for each in kept if names.name_of(wanted.prefix, wanted.id, each) == pack.name), None)
            self._versions = (store.url, pack.name, found)
            return self._versions[2]
