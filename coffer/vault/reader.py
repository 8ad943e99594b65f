"""The vault as the holder of an identity sees it: everything opens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coffer.errors import IntegrityError, NotThere
from coffer.keys import signing
from coffer.keys.opener import Opener
from coffer.keys.passphrase import Passphrase
from coffer.vault import configuration as configurations
from coffer.vault import (
    extents,
    journal,
    key_objects,
    passphrases,
    proof_ledger,
    restoring,
    tree_diff,
    tree_reading,
    wal,
)
from coffer.vault.capture import EntryType, Fact, StoredEntry
from coffer.vault.catalogue import Catalogue, Known
from coffer.vault.chunk_reader import ChunkReader
from coffer.vault.chunk_table import ChunkTable
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.configuration import Configuration
from coffer.vault.index_keys import IndexKeys, open_index_keys
from coffer.vault.journal import Shipment
from coffer.vault.known_heads import KnownHeads
from coffer.vault.points import Manifest, Point, SourceRecord
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.rate_limit import RateLimit
from coffer.vault.restore_survey import Survey
from coffer.vault.restoring import RestoreSummary
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.run_keys import RunKey
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store
from coffer.vault.tree_diff import Change
from coffer.vault.trees import TreeEntry
from coffer.vault.verification import VerifyReport, verify_points

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True)
class ReaderAccess:
    """What verification needs of a reader.

    `root_key` unwraps the secret that signs what is proven; `fingerprint` says whose identity that was.
    """

    stores: StoreSet
    configuration: Configuration
    keys: IndexKeys
    catalogue: Catalogue
    run_key: Callable[[bytes], RunKey]
    wal_run_key: Callable[[bytes], RunKey]
    root_key: Callable[[], bytes]
    fingerprint: str


class VaultReader:
    """Reads points back.

    Attributes:
        root_is_pinned: Whether the root's fingerprint was known before; if not, compare `root` with the recovery kit.
        jobs: Reads of a store at a time, in a restore.
        limit: How fast a restore reads from the stores; None: as fast as it can.
    """

    def __init__(
        self, stores: StoreSet, opener: Opener, configuration: Configuration, heads: KnownHeads, pinned: bool
    ) -> None:
        self.root_is_pinned = pinned
        self.jobs = restoring.JOBS
        self.limit: RateLimit | None = None
        self._stores = stores
        self._opener = opener
        self._configuration = configuration
        self._heads = heads
        self._keys = open_index_keys(stores, configuration, opener)
        self._catalogue = Catalogue(stores, configuration, self._keys)
        self._run_keys: dict[bytes, RunKey] = {}

    @classmethod
    def open(cls, stores: Sequence[Store], who: Opener | Passphrase, *, root: str | None = None) -> VaultReader:
        """Open a vault for reading.

        Args:
            stores: Its stores, in order of preference.
            who: Who reads: an identity, a passphrase, a KMS key.
            root: Fingerprint of the root key to believe, as the recovery kit has it; else the one pinned in FILE.pub.

        Raises:
            NoVault: There is none.
            WrongKey: Whoever reads is no recipient.
            IntegrityError: It is not the pinned one, or was set back.
            Unreachable: No store answers.
        """
        together = StoreSet(stores)
        configuration, pinned = configurations.find_pinned(
            together, {} if isinstance(who, Passphrase) else who.pins, root
        )
        opener = passphrases.settle_opener(together, configuration, who)
        heads = KnownHeads(opener.path, configuration.vault.hex())
        configurations.check_number(together, configuration, heads.configuration)
        return cls(together, opener, configuration, heads, pinned)

    @property
    def vault(self) -> str:
        """The vault's id, 32 hex digits."""
        return self._configuration.vault.hex()

    @property
    def root(self) -> str:
        """Fingerprint of the root key."""
        return self._configuration.fingerprint

    @property
    def notes(self) -> list[str]:
        """What went wrong with which store although the answer was found in another."""
        return list(self._stores.notes)

    def points(self, service: str | None = None) -> list[Point]:
        """Return the points, oldest first.

        Raises:
            IntegrityError: A manifest is not genuine, or a point that was known is gone.
            Unreachable: No store answers.
        """
        self._heads.reload()
        known = self._catalogue.all()
        if not self._stores.silent:  # what is not found may be in the store that did not answer
            self._heads.check(known)
        self._heads.remember(known, self._configuration.number)
        return [each.point for each in known if service is None or each.point.service == service]

    @property
    def retention(self) -> RetentionPolicy:
        """How long points are kept at least: what the root signed."""
        return RetentionPolicy.signed(self._configuration.retention)

    def proofs(self) -> ProofLedger:
        """Return what points have passed, as the root signed it.

        Raises:
            Unreachable: No store answers.
        """
        return proof_ledger.read(self._stores, self._configuration)

    def point(self, name: str, service: str | None = None) -> Point:
        """Return a point by name, or the newest for `latest`; what is not genuine beside it is noted.

        Raises:
            NotThere: There is none.
            IntegrityError: Its manifest is damaged, or a point that was known is gone.
        """
        self._heads.reload()
        found = self._catalogue.find(name, service).point
        newest, _ = self._catalogue.newest_of_each()
        if not self._stores.silent:
            self._heads.check(newest)
        self._heads.remember(newest, self._configuration.number)
        return found

    def facts(self, point: Point, source: str) -> Mapping[str, Fact]:
        """Return what a source remembered; raises as `entries` does."""
        return self._source(point, source)[1].facts

    def entries(self, point: Point, source: str) -> Iterator[StoredEntry]:
        """Return a source's entries in order of path.

        Raises:
            NotThere: The point has no such source.
            IntegrityError: A subtree is missing or not genuine.
        """
        record = self._source(point, source)[1]
        for entry in tree_reading.read_entries(self._stores, self._keys, record, ChunkNumbers()):
            yield entry.stored()

    def differences(self, old: Point, new: Point, source: str) -> Iterator[Change]:
        """Return what differs in a source between two points, in order of path; raises as `entries` does."""
        numbers = ChunkNumbers()
        trees = [
            tree_reading.read_entries(self._stores, self._keys, self._source(point, source)[1], numbers)
            for point in (old, new)
        ]
        return tree_diff.differences(*trees)

    def read_file(self, point: Point, source: str, path: bytes) -> bytes:
        """Return a file's content, proven; for small ones, it is held in memory.

        Raises:
            NotThere: The point has no such file.
            IntegrityError: A part of it is missing or not genuine.
        """
        manifest, record = self._source(point, source)
        chunks = self._chunk_reader(manifest)
        for entry in tree_reading.read_entries(self._stores, self._keys, record, chunks.table):
            if entry.path == path and entry.stored().type is EntryType.FILE:
                return self._content(entry, chunks)
        raise NotThere("The point has no such file", detail=f"{path!r} in {source} of {point.name}")

    def restore(
        self,
        point: Point,
        source: str,
        destination: Path,
        *,
        include: Callable[[bytes], bool] | None = None,
        last: Sequence[bytes] = (),
        before_last: Callable[[], None] | None = None,
        progress: Progress | None = None,
        delta: bool = False,
    ) -> RestoreSummary:
        """Write a source's tree into an empty folder; every byte is proven before it is written.

        Args:
            point: What to restore.
            source: Its source.
            destination: A folder that is empty or does not exist.
            include: Tells which paths to restore; all without it.
            last: Paths that get their name when all else is durable.
            before_last: Called when all else is written, before they do; what it writes below is made durable, too.
            progress: Called with bytes done and bytes in all.
            delta: The folder may hold anything: what is there already is proven and kept, the rest is written, and
                what is not to be restored is removed.

        Raises:
            UnsafeTarget: The folder is not empty, or is none.
            IntegrityError: Something is missing or not genuine in every store; the target is then incomplete.
            NotThere: The point has no such source.
            StoreFull: The disk is full.
        """
        manifest, record = self._source(point, source)
        chunks = self._chunk_reader(manifest)
        survey = Survey(self._stores, self._keys, record.trees, chunks.table, include)
        survey.look()
        what = f"{source} of point {point.name} of {point.service}"
        job = restoring.Restore(
            self._keys,
            chunks,
            survey,
            destination,
            what,
            frozenset(last),
            progress,
            self.jobs,
            delta=delta,
            before_last=before_last,
        )
        summary = job.run()
        return restoring.with_notes(summary, [*self.notes, *summary.notes])

    def get_wal(self, cluster: str, segment: str) -> bytes:
        """Return a WAL file as it was put.

        Raises:
            NotThere: Every store says that it is absent.
            Unreachable: No store has it, and one did not answer.
            IntegrityError: It is not genuine, or two different ones bear the name.
        """
        return wal.get(self._stores, self._keys, self._configuration, self._wal_run_key, cluster, segment)

    def wal_names(self, cluster: str, *, every_store: bool = False) -> list[str]:
        """Return the names of a cluster's WAL, in any store, sorted.

        Raises:
            Unreachable: No store answered, or not every one where that was asked for.
        """
        return wal.segments(self._stores, cluster, every_store=every_store)

    def shipments(
        self, service: str, source: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[Shipment]:
        """Return what `coffer files watch` shipped in a window, oldest first: names, no content.

        Raises:
            IntegrityError: One is not genuine, or is missing between others.
            Unreachable: No store answers.
        """
        everything = journal.find(self._stores, service, source, None, None)
        wanted = journal.find_among(everything, since, until)
        found = list(journal.read_heads(self._stores, self._keys, self._configuration, wanted))
        journal.check_chain(found, everything)
        return found

    def shipped_content(self, shipment: Shipment) -> bytes:
        """Return the content of a shipment's files, end to end, proven.

        Raises:
            IntegrityError: It is not what was shipped.
        """
        data = self._stores.read_needed(shipment.name)
        return journal.content(data, shipment.name, self._keys, self._configuration, self._wal_run_key)[1]

    def verify(
        self,
        points: Sequence[Point] | None = None,
        progress: Progress | None = None,
        *,
        left_out: Collection[str] = frozenset(),
    ) -> VerifyReport:
        """Read back, decrypt and hash everything that points need, in every store, and all WAL.

        Nothing of it is written down: `proving` does that.

        Args:
            points: Which points; all without it.
            progress: Called with bytes done and bytes in all.
            left_out: Names of packs that need not be read.
        """
        return verify_points(self, points, progress, left_out)

    def access(self) -> ReaderAccess:
        """Return the parts of this reader for the vault's own rooms: verification."""
        return ReaderAccess(
            self._stores,
            self._configuration,
            self._keys,
            self._catalogue,
            self._run_key,
            self._wal_run_key,
            self._root_key,
            self._opener.fingerprint,
        )

    def _source(self, point: Point, source: str) -> tuple[Manifest, SourceRecord]:
        manifest = self._known(point).manifest
        record = manifest.source(source)
        if record is None:
            there = ", ".join(each.name for each in manifest.sources)
            raise NotThere(f"The point has no source {source}", detail=f"{point.name} has {there}")
        return manifest, record

    def _known(self, point: Point) -> Known:
        return self._catalogue.find(point.name, point.service)

    def _chunk_reader(self, manifest: Manifest) -> ChunkReader:
        if key_objects.commitment(self._run_key(manifest.run).key) != manifest.run_commitment:
            raise IntegrityError("A point's key is not the one that it commits to", detail=manifest.name)
        table = ChunkTable.load(self._stores, self._keys, manifest.index)
        return ChunkReader(self._stores, self._keys, table, self._run_key, self.limit)

    def _content(self, entry: TreeEntry, chunks: ChunkReader) -> bytes:
        parts = []
        for chunk, offset, length in extents.from_bytes(entry.extents).tolist():
            content = bytes(length) if chunk == extents.HOLE else chunks.read(chunk)[offset : offset + length]
            parts.append(content)
        whole = b"".join(parts)
        restoring.check_file(self._keys, entry, whole)
        return whole

    def _root_key(self) -> bytes:
        """Unwrap the secret that signs proofs.

        Raises:
            IntegrityError: It is not the root's.
        """
        vault = self._configuration.vault
        secret = key_objects.unwrap(self._stores, self._configuration, key_objects.ROOT, vault, self._opener)
        if signing.public_key(secret) != self._configuration.root:
            raise IntegrityError("The root key kept in the vault is not its root", detail=vault.hex())
        return secret

    def _run_key(self, run: bytes) -> RunKey:
        return self._unwrap(key_objects.RUN, run)

    def _wal_run_key(self, run: bytes) -> RunKey:
        return self._unwrap(key_objects.WAL, run)

    def _unwrap(self, purpose: str, run: bytes) -> RunKey:
        if run not in self._run_keys:
            key = key_objects.unwrap(self._stores, self._configuration, purpose, run, self._opener)
            self._run_keys[run] = RunKey(self._configuration.vault, run, key)
        return self._run_keys[run]
