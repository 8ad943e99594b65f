"""What a point is made from: who asks, what for, and what each capture did."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from blake3 import blake3

from coffer.keys import WriterCredentials
from coffer.vault.capture import Fact, Kind
from coffer.vault.catalogue import Catalogue
from coffer.vault.compression import DEFAULT, Compression
from coffer.vault.configuration import Configuration
from coffer.vault.index_keys import IndexKeys
from coffer.vault.known_heads import KnownHeads
from coffer.vault.rate_limit import RateLimit
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.store_set import StoreSet


@dataclass(frozen=True)
class WriterAccess:
    """What a builder needs of the writer that made it."""

    stores: StoreSet
    credentials: WriterCredentials
    configuration: Configuration
    keys: IndexKeys
    catalogue: Catalogue
    heads: KnownHeads

    @property
    def retention(self) -> RetentionPolicy:
        """How long points are kept at least, and how long a mark stands: what the root signed."""
        return RetentionPolicy.signed(self.configuration.retention)


@dataclass(frozen=True)
class PointRequest:
    """What was asked for; see `VaultWriter.begin_point`."""

    service: str
    kind: Kind
    started: datetime
    seed: str | None

    def point_id(self, vault: bytes) -> bytes:
        """Return the point's id: from the request where it has a seed, so that a retry finds what it made."""
        if self.seed is None:
            return secrets.token_bytes(16)
        seed = f"{self.service}\0{self.seed}".encode()
        return blake3(vault + seed, derive_key_context="coffer/1/point-id").digest()[:16]

    def point_name(self, counter: int, point_id: bytes) -> str:
        """Return the point's name."""
        return f"{counter:06d}-{self.started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{point_id.hex()[:8]}"


@dataclass(frozen=True)
class PointOptions:
    """How a point is made; nothing that changes what it holds.

    Attributes:
        compression: What is done to chunks.
        jobs: Threads that hash, compress and seal.
        limit: How many bytes a second to take from sources.
        progress: Called with entries and bytes of content that a source has handed over.
    """

    compression: Compression = DEFAULT
    jobs: int = 2
    limit: RateLimit | None = None
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class SourceSummary:
    """What one capture did.

    Attributes:
        name: The source.
        kind: Kind of source.
        done: What was really done.
        files: Entries in its tree.
        size: Bytes that a restore gives back.
        read: Bytes of content that the source handed over.
        seconds: Time it took.
        facts: What the source remembered.
    """

    name: str
    kind: str
    done: Kind
    files: int
    size: int
    read: int
    seconds: float
    facts: Mapping[str, Fact]
