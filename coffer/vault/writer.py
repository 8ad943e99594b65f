"""The vault as a writer sees it: takes points and WAL, reads names and facts, opens no content."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from coffer.errors import NotInEveryStore, RefusedByPolicy
from coffer.keys import WriterCredentials
from coffer.vault import clocks, journal, journal_stores, key_objects, names, proof_ledger, wal
from coffer.vault import configuration as configurations
from coffer.vault.capture import Fact, Kind, StoredEntry
from coffer.vault.catalogue import Catalogue, Known
from coffer.vault.configuration import Configuration
from coffer.vault.index_keys import open_index_keys
from coffer.vault.journal import Shipment, ShippedFile
from coffer.vault.known_heads import KnownHeads
from coffer.vault.point_builder import PointBuilder, PointOptions, PointRequest, WriterAccess
from coffer.vault.points import Point
from coffer.vault.proof_ledger import ProofLedger
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.runs import Run
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

_SKEW_SECONDS = 300


class VaultWriter:
    """Takes recovery points.

    `open` checks the vault against what the credentials pin; nothing is written until a point or WAL is.
    """

    def __init__(
        self,
        stores: StoreSet,
        credentials: WriterCredentials,
        configuration: Configuration,
        heads: KnownHeads,
    ) -> None:
        self._stores = stores
        self._credentials = credentials
        self._heads = heads
        self._wal_run: Run | None = None
        self._wal_lock = threading.Lock()
        self._placed = wal.PlacedRuns()
        self._follow(configuration)

    @classmethod
    def open(cls, stores: Sequence[Store], credentials: WriterCredentials) -> VaultWriter:
        """Open a vault for writing.

        Raises:
            NoVault: There is none.
            IntegrityError: It is another one, it was set back, or a store holds another vault.
            RefusedByPolicy: This writer was revoked.
            Unreachable: No store answers.
        """
        together = StoreSet(stores)
        heads = KnownHeads(credentials.path, credentials.vault)
        configuration = configurations.load(
            together,
            root=credentials.root,
            least=max(credentials.configuration, heads.configuration),
            vault=credentials.vault,
        )
        return cls(together, credentials, configuration, heads)

    @property
    def vault(self) -> str:
        """The vault's id, 32 hex digits."""
        return self._configuration.vault.hex()

    @property
    def notes(self) -> list[str]:
        """What went wrong with which store although the work went on."""
        return list(self._stores.notes)

    def points(self, service: str | None = None) -> list[Point]:
        """Return the points, oldest first.

        Raises:
            IntegrityError: A manifest is not genuine, or a point that was known is gone.
            Unreachable: No store answers.
        """
        return [each.point for each in self._known(service)]

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

    def latest(self, service: str) -> Point | None:
        """Return a service's newest point."""
        mine = self.points(service)
        return mine[-1] if mine else None

    def begin_point(
        self,
        *,
        service: str,
        kind: Kind,
        started: datetime,
        point_id_seed: str | None = None,
        parent: str | None = "latest",
        options: PointOptions | None = None,
    ) -> PointBuilder:
        """Begin a point; nothing of it exists before `commit`.

        Args:
            service: Whose point it is.
            kind: FULL compares with nothing, DIFFERENTIAL with the newest full point, INCREMENTAL with `parent`.
            started: When the capture begins; aware.
            point_id_seed: What the point's id derives from; a repeated request finds its point committed.
            parent: Name of a point, `latest`, or None.
            options: How it is made.

        Raises:
            RefusedByPolicy: The clock runs behind the newest point's, or is more than five minutes off a store's.
            NotThere: There is no such parent.
        """
        names.check_word(service, "service")
        self._refresh()
        known = self._known(service)
        newest = known[-1] if known else None
        if newest and (newest.point.started - started).total_seconds() > _SKEW_SECONDS:
            raise RefusedByPolicy(
                "The clock runs behind",
                detail=f"it is {started.isoformat()}, the newest point began {newest.point.started.isoformat()}",
                resolution="Set the clock",
            )
        clocks.check(clocks.read_some(self._stores), started)
        request = PointRequest(service, kind, started, point_id_seed)
        access = WriterAccess(
            self._stores, self._credentials, self._configuration, self._keys, self._catalogue, self._heads
        )
        return PointBuilder(access, request, known, self._choose_parent(known, kind, parent), options or PointOptions())

    def put_wal(self, cluster: str, segment: str, data: bytes, *, facts: Mapping[str, Fact] | None = None) -> None:
        """Put one WAL segment, partial segment, backup history or timeline history file into every store.

        Raises:
            IntegrityError: Other bytes are there under that name.
            NotInEveryStore: Some stores have it; the same call again completes the others.
            RefusedByPolicy: This writer was revoked.
        """
        self._refresh()
        self._put_wal(wal.WalFile(self._keys, self._run_of_wal(), cluster, segment, data, facts or {}))

    def prepare_wal(self, cluster: str, segment: str, data: bytes, facts: Mapping[str, Fact]) -> wal.WalFile:
        """Compress and seal a WAL file ahead; nothing is written before `put_prepared`."""
        file = wal.WalFile(self._keys, self._run_of_wal(), cluster, segment, data, facts)
        file.sealed()
        return file

    def put_prepared(self, file: wal.WalFile) -> None:
        """Put a prepared WAL file; raises as `put_wal` does. Sealed anew where recipients changed meanwhile."""
        self._refresh()
        if file.run is not self._run_of_wal():
            file = self.prepare_wal(file.cluster, file.segment, file.data, file.facts)
        self._put_wal(file)

    def wal_facts(self, cluster: str, segment: str) -> Mapping[str, Fact]:
        """Return what was noted beside a WAL file when it was put.

        Raises:
            NotThere: No store has it.
            IntegrityError: It is not genuine.
        """
        return wal.facts(self._stores, self._keys, self._configuration, cluster, segment)

    def wal_names(self, cluster: str, *, every_store: bool = False) -> list[str]:
        """Return the names of a cluster's WAL, in any store, sorted.

        Raises:
            Unreachable: No store answered, or not every one where that was asked for.
        """
        return wal.segments(self._stores, cluster, every_store=every_store)

    def has_wal(self, cluster: str, segment: str) -> dict[str, bool]:
        """Tell, for each store that answers, whether it holds a segment: read back and compared with its name.

        Raises:
            Unreachable: No store answers.
        """
        return wal.presence(self._stores, self._configuration, cluster, segment)

    def ship(
        self,
        service: str,
        source: str,
        files: Sequence[ShippedFile],
        content: bytes,
        *,
        complete_ns: int,
        previous: str = "",
    ) -> tuple[str, NotInEveryStore | None]:
        """Put a shipment of files into every store; see `coffer.vault.journal`.

        Args:
            service: Whose files.
            source: Their source's name inside points.
            files: What is in it.
            content: Their content, end to end.
            complete_ns: Up to when everything that settled is in this shipment or those before.
            previous: Name of the shipment before.

        Returns:
            Its name, and, where some store did not take it, what that said: `complete_shipments` completes those.

        Raises:
            RefusedByPolicy: This writer was revoked.
        """
        self._refresh()
        run = self._run_of_wal()
        shipment = journal.seal(self._keys, run, service, source, files, content, complete_ns, previous)
        try:
            journal_stores.put(self._stores, self._configuration, run, shipment, self._placed)
        except NotInEveryStore as error:
            return shipment[0], error
        return shipment[0], None

    def shipments(self, service: str, source: str, since: datetime | None = None) -> list[Shipment]:
        """Return what was shipped since a moment, oldest first: names, no content.

        Raises:
            IntegrityError: One is not genuine in any store.
            Unreachable: No store answers.
        """
        wanted = journal.find(self._stores, service, source, since, None)
        return list(journal.read_heads(self._stores, self._keys, self._configuration, wanted))

    def complete_shipments(self, service: str, source: str) -> int:
        """Bring shipments into stores that lack them; return how many were.

        Raises:
            NotInEveryStore: A store still does not take them.
            Unreachable: No store answers.
        """
        self._refresh()
        return journal_stores.complete(self._stores, self._configuration, service, source)

    def entries(self, point: Point, source: str) -> Iterator[StoredEntry]:
        """Return a source's entries in a point, in order of path; nothing where the point lacks the source.

        Raises:
            IntegrityError: A subtree is missing or not genuine.
        """
        from coffer.vault import tree_reading
        from coffer.vault.chunks import ChunkNumbers

        record = self._catalogue.find(point.name, point.service).manifest.source(source)
        if record is not None:
            for entry in tree_reading.read_entries(self._stores, self._keys, record, ChunkNumbers()):
                yield entry.stored()

    def _run_of_wal(self) -> Run:
        with self._wal_lock:
            if self._wal_run is None:
                self._wal_run = Run.begin(self._configuration, self._credentials, key_objects.WAL)
            return self._wal_run

    def _put_wal(self, file: wal.WalFile) -> None:
        wal.put(self._stores, self._keys, self._configuration, file, self._placed)

    def _refresh(self) -> None:
        """Take in a change of recipients, writers or keys: a writer lives for weeks and must not wrap to the past."""
        now = configurations.reload(self._stores, self._configuration)
        if now is not self._configuration:
            self._follow(now)

    def _follow(self, configuration: Configuration) -> None:
        record = configuration.writer(self._credentials.id)
        if record is None or record.revoked_ns:
            raise RefusedByPolicy("This writer may not write into the vault", detail=self._credentials.name)
        self._configuration = configuration
        self._keys = open_index_keys(self._stores, configuration, self._credentials)
        self._catalogue = Catalogue(self._stores, configuration, self._keys)
        self._wal_run = None

    def _known(self, service: str | None = None) -> list[Known]:
        self._heads.reload()
        known = self._catalogue.all()
        if not self._stores.silent:  # what is not found may be in the store that did not answer
            self._heads.check(known)
        self._heads.remember(known, self._configuration.number)
        return [each for each in known if service is None or each.point.service == service]

    def _choose_parent(self, known: list[Known], kind: Kind, parent: str | None) -> Known | None:
        if kind is Kind.FULL or parent is None or not known:
            return None
        if kind is Kind.DIFFERENTIAL:
            full = [each for each in known if each.point.kind is Kind.FULL]
            return full[-1] if full else None
        if parent == "latest":
            return known[-1]
        return self._catalogue.find(parent, known[-1].point.service)
