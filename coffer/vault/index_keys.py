"""Keys derived from the vault's index key: they open names, page maps and facts, and no content."""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3

from coffer.keys import sealing
from coffer.vault.stores.protocol import Buffer


@dataclass(frozen=True)
class IndexKeys:
    """One key a purpose.

    Attributes:
        vault: Vault id.
        chunk_ids: Keys the BLAKE3 that names chunks and proves files.
        records: Seals manifests and indexes.
        trees: Root of the keys that seal subtrees.
        tree_ids: Keys the BLAKE3 that names subtrees.
        tree_nonces: Keys the BLAKE3 that gives subtrees their nonce.
        wal: Seals the header of WAL objects.
    """

    vault: bytes
    chunk_ids: bytes = field(repr=False)
    records: bytes = field(repr=False)
    trees: bytes = field(repr=False)
    tree_ids: bytes = field(repr=False)
    tree_nonces: bytes = field(repr=False)
    wal: bytes = field(repr=False)

    @classmethod
    def derive(cls, vault: bytes, index_key: bytes) -> IndexKeys:
        """Derive all of them for one vault."""
        purposes = ("chunk-ids", "records", "trees", "tree-ids", "tree-nonces", "wal")
        return cls(vault, *(sealing.derive(index_key, purpose, vault) for purpose in purposes))

    def chunk_id(self, data: Buffer) -> bytes:
        """Return the id of content: keyed BLAKE3, 32 bytes."""
        return blake3(data, key=self.chunk_ids).digest()
