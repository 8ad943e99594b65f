"""Keys derived from the vault's index keys: they open names, page maps and facts, and no content.

There is one index key at first. When a recipient or writer goes who knew it, a new one takes its place for all that
is sealed from then on; the older ones open what was sealed before. Every sealed record begins with its key's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from blake3 import blake3

from coffer.errors import IntegrityError
from coffer.keys import sealing
from coffer.keys.opener import Opener
from coffer.vault import key_objects
from coffer.vault.configuration import Configuration
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Buffer

NUMBER_SIZE = 4


@dataclass(frozen=True)
class IndexKeys:
    """One key a purpose.

    Attributes:
        vault: Vault id.
        chunk_ids: Keys the BLAKE3 that names chunks and proves files. It stays that of the first index key: chunks
            are found again after a change of keys, and chunk ids stand only in what is sealed.
        records: Seals manifests and indexes.
        trees: Root of the keys that seal subtrees.
        tree_ids: Keys the BLAKE3 that names subtrees.
        tree_nonces: Keys the BLAKE3 that gives subtrees their nonce.
        wal: Seals the header of WAL objects.
        number: Which index key they derive from, counted from 1.
        older: Those of the index keys before, by number.
    """

    vault: bytes
    chunk_ids: bytes = field(repr=False)
    records: bytes = field(repr=False)
    trees: bytes = field(repr=False)
    tree_ids: bytes = field(repr=False)
    tree_nonces: bytes = field(repr=False)
    wal: bytes = field(repr=False)
    number: int = 1
    older: tuple[IndexKeys, ...] = field(default=(), repr=False)

    @classmethod
    def derive(cls, vault: bytes, index_keys: Sequence[bytes]) -> IndexKeys:
        """Derive all of them for one vault, from its index keys, oldest first."""
        chunk_ids = sealing.derive(index_keys[0], "chunk-ids", vault)
        every = [cls._one(vault, number, key, chunk_ids) for number, key in enumerate(index_keys, 1)]
        return replace(every[-1], older=tuple(every[:-1]))

    @classmethod
    def _one(cls, vault: bytes, number: int, key: bytes, chunk_ids: bytes) -> IndexKeys:
        purposes = ("records", "trees", "tree-ids", "tree-nonces", "wal")
        records, trees, tree_ids, tree_nonces, wal = (sealing.derive(key, purpose, vault) for purpose in purposes)
        return cls(vault, chunk_ids, records, trees, tree_ids, tree_nonces, wal, number)

    @property
    def tag(self) -> bytes:
        """What a record sealed with these keys begins with: their number, 4 bytes."""
        return self.number.to_bytes(NUMBER_SIZE, "big")

    def of(self, tagged: bytes, name: str) -> tuple[IndexKeys, bytes]:
        """Return the keys that a record was sealed with, and the sealed record.

        Args:
            tagged: Number and sealed record.
            name: The object it stands in, for the error.

        Raises:
            IntegrityError: The vault has no index key of that number.
        """
        number = int.from_bytes(tagged[:NUMBER_SIZE], "big")
        mine = next((each for each in (self, *self.older) if each.number == number), None)
        if mine is None:
            raise IntegrityError("An object is sealed with an index key that the vault does not have", detail=name)
        return mine, tagged[NUMBER_SIZE:]

    def chunk_id(self, data: Buffer) -> bytes:
        """Return the id of content: keyed BLAKE3, 32 bytes."""
        return blake3(data, key=self.chunk_ids).digest()


def open_index_keys(stores: StoreSet, configuration: Configuration, opener: Opener) -> IndexKeys:
    """Unwrap the vault's index keys.

    Raises:
        WrongKey: They are wrapped to others.
        IntegrityError: One is missing, or is not the one that the configuration commits to.
    """
    opened = []
    for committed in configuration.index_keys:
        key_id = committed[: key_objects.ID_SIZE]
        key = key_objects.unwrap(stores, configuration, key_objects.INDEX, key_id, opener)
        if key_objects.commitment(key) != committed:
            raise IntegrityError("An index key is not the one that the root names", detail=key_id.hex())
        opened.append(key)
    if not opened:
        raise IntegrityError("The vault's configuration names no index key", detail=configuration.vault.hex())
    return IndexKeys.derive(configuration.vault, opened)
