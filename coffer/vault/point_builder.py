"""A point in the making: sources are captured, and last of all one manifest makes it exist."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from blake3 import blake3

from coffer.errors import CofferError, NotInEveryStore, UsageError
from coffer.keys import WriterCredentials
from coffer.vault import chunk_index, key_objects, names, points, tree_reading, trees
from coffer.vault.capture import Fact, Kind, Source
from coffer.vault.catalogue import Catalogue, Known
from coffer.vault.chunk_index import Location
from coffer.vault.chunk_usage import used_chunks
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.completion import complete_store
from coffer.vault.configuration import Configuration
from coffer.vault.fan_out import FanOut
from coffer.vault.index_keys import IndexKeys
from coffer.vault.known_heads import KnownHeads
from coffer.vault.packs import PackWriter
from coffer.vault.points import Manifest, ObjectList, Point, SourceRecord
from coffer.vault.runs import Run
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.protocol import Store
from coffer.vault.tree_capture import Bundle, ChunkPipeline, TreeCapture
from coffer.vault.tree_reading import ParentTree

_MOST_SEGMENTS = 16


@dataclass(frozen=True)
class WriterAccess:
    """What a builder needs of the writer that made it."""

    stores: StoreSet
    credentials: WriterCredentials
    configuration: Configuration
    keys: IndexKeys
    catalogue: Catalogue
    heads: KnownHeads


@dataclass(frozen=True)
class PointRequest:
    """What was asked for; see `VaultWriter.begin_point`."""

    service: str
    kind: Kind
    started: datetime
    seed: str | None


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


class PointBuilder:
    """Captures sources and commits the point; a context manager, and leaving it without commit leaves no point.

    Attributes:
        existing: The committed point of the same seed; then capturing and committing do nothing more.
    """

    def __init__(self, access: WriterAccess, request: PointRequest, known: list[Known], parent: Known | None) -> None:
        self._access = access
        self._request = request
        self._id = self._make_id()
        self._previous = known[-1] if known else None
        self._parent = parent
        same = [each for each in known if each.manifest.id == self._id]
        self.existing: Point | None = same[0].point if same else None
        self._sources: dict[str, SourceRecord] = {}
        self._captures: dict[str, tuple[TreeCapture, SourceSummary, ParentTree | None]] = {}
        self._objects: dict[str, int] = {}
        self._committed = False
        self._open = False

    def __enter__(self) -> PointBuilder:
        """Start the run, unless the point exists."""
        if self.existing is None:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; what was put stays unreferenced unless committed."""
        if self._open:
            self._open = False
            self._pipeline.abandon()
            self._fan.close()

    def capture(self, source: Source) -> SourceSummary:
        """Let a source push its tree into the point.

        Raises:
            CofferError: What the source or every store met.
            UsageError: The point has a source of that name.
        """
        if self.existing is not None:
            return _known_summary(self.existing, source)
        if source.name in self._captures:
            raise UsageError("Two sources have the same name", detail=source.name)
        parent = self._parent_tree(source)
        sink = TreeCapture(self._access.keys, self._pipeline, self._bundle, parent)
        before = time.monotonic()
        kind = self._request.kind if parent is not None else Kind.FULL
        facts = dict(source.capture(sink, kind, parent))
        self._pipeline.check()
        done = Kind(str(facts.get("kind", kind)))
        size = sum(entry.size for entry in sink.entries.values())
        seconds = time.monotonic() - before
        summary = SourceSummary(source.name, source.kind, done, len(sink.entries), size, sink.read, seconds, facts)
        self._captures[source.name] = (sink, summary, parent)
        return summary

    def commit(self, facts: Mapping[str, Fact]) -> Point:
        """Make the point exist: everything it names is durable before its manifest is put, last of all.

        Args:
            facts: What to remember with the point: LSN, digests, order of capture.

        Raises:
            NotInEveryStore: It is committed, but not everywhere; the point is the error's `point`.
            CofferError: What the gravest store said, when none has it.
        """
        if self.existing is not None:
            return self.existing
        if not self._captures:
            raise UsageError("A point needs a source")
        self._bundle.flush()
        self._pipeline.finish()
        records = [self._put_tree(*capture) for capture in self._captures.values()]
        index = self._put_index()
        manifest = self._make_manifest(records, index, dict(facts))
        name, data = points.seal_manifest(self._access.keys, self._access.credentials.signing_key, manifest)
        self._fan.flush()
        done = self._commit_everywhere(manifest, name, data)
        point = points.describe(manifest, name, tuple(done))
        self._remember(manifest, point)
        if self._fan.failures:
            raise _not_everywhere(point, self._fan.failures)
        return point

    def _begin(self) -> None:
        access = self._access
        self._sizes: dict[str, int] | None = None
        self._numbers = ChunkNumbers()
        self._known: dict[bytes, Location] = {}
        base = self._base = self._parent or self._previous
        if base is not None:
            located = tree_reading.read_locations(access.stores, access.keys, base.manifest)
            listed = self._base_sizes()  # a pack that the base does not need may be gone by now
            self._known = {chunk: place for chunk, place in located.items() if place.pack.name in listed}
        self._first_put = threading.Lock()
        self._run = Run.begin(access.configuration, access.credentials)
        self._fan = FanOut(access.stores.stores)
        self._packer = PackWriter(access.keys, self._run.key, self._known, self._put)
        self._pipeline = ChunkPipeline(self._packer, self._numbers)
        self._bundle = Bundle(self._pipeline)
        self._open = True

    def _put(self, name: str, data: bytes) -> None:
        """Put an object everywhere, the run's key before the first: a run that stores nothing leaves nothing."""
        with self._first_put:
            if self._run.name not in self._objects:
                self._objects[self._run.name] = len(self._run.data)
                self._fan.put(self._run.name, self._run.data)
        self._objects[name] = len(data)
        self._fan.put(name, data)

    def _parent_tree(self, source: Source) -> ParentTree | None:
        record = self._parent.manifest.source(source.name) if self._parent else None
        if record is None or record.kind != source.kind:
            return None
        access = self._access
        entries = tree_reading.read_entries(access.stores, access.keys, record, self._numbers)
        subtrees = {bytes.fromhex(name.split("/")[-1][:32]): name for name in record.trees}
        return ParentTree(record.facts, {entry.path: entry for entry in entries}, subtrees)

    def _put_tree(self, sink: TreeCapture, summary: SourceSummary, parent: ParentTree | None) -> SourceRecord:
        shared = parent.subtrees if parent else {}
        known_sizes = self._base_sizes()
        found: list[str] = []
        for part in trees.cut([sink.entries[path] for path in sorted(sink.entries)]):
            tree_id, name, data = trees.seal(self._access.keys, part, self._numbers)
            if tree_id in shared and shared[tree_id] in known_sizes:
                name = shared[tree_id]
                self._objects[name] = known_sizes[name]
            else:
                self._put(name, data)
            found.append(name)
        return SourceRecord(
            name=summary.name,
            kind=summary.kind,
            done=summary.done.value,
            files=summary.files,
            size=summary.size,
            trees=found,
            facts=dict(summary.facts),
        )

    def _put_index(self) -> list[str]:
        """Put where this run's chunks are; name the older segments that are still needed, folded when many."""
        used = self._used_chunks()
        needed = {place.pack.name: place.pack for chunk, place in self._known.items() if chunk in used}
        runs = {pack.run for pack in needed.values()}
        self._name_run_keys(runs)
        for pack in needed.values():
            self._objects[pack.name] = pack.size
        sizes = self._base_sizes()
        older = [name for name in (self._base.manifest.index if self._base else []) if name in sizes]
        if len(older) >= _MOST_SEGMENTS:
            older, added = [], [(chunk, place) for chunk, place in self._known.items() if chunk in used]
        else:
            added = self._packer.added
        for name in older:
            self._objects[name] = sizes[name]
        if not added:
            return older
        name, data = chunk_index.seal(self._access.keys, added)
        self._put(name, data)
        return [*older, name]

    def _name_run_keys(self, runs: set[bytes]) -> None:
        """Name the key objects of earlier runs as they are now: they may have been rewrapped."""
        for name, size in self._access.stores.sizes(f"{names.KEYS}/{key_objects.RUN}-").items() if runs else ():
            if bytes.fromhex(name.split("/")[1].removeprefix("run-")) in runs:
                self._objects[name] = size

    def _used_chunks(self) -> set[bytes]:
        return used_chunks((capture[0].entries.values() for capture in self._captures.values()), self._numbers)

    def _base_sizes(self) -> dict[str, int]:
        """Return the objects that the base point lists: what may be named again."""
        if self._sizes is None:
            self._sizes = {}
            if self._base is not None:
                name = self._base.manifest.listing
                data = self._access.stores.read_needed(name)
                self._sizes = dict(points.open_list(self._access.configuration, name, data).objects)
        return self._sizes

    def _make_manifest(self, records: list[SourceRecord], index: list[str], facts: dict[str, Any]) -> Manifest:
        access, request = self._access, self._request
        counter = self._previous.point.counter + 1 if self._previous else 1
        name = f"{counter:06d}-{request.started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self._id.hex()[:8]}"
        objects = sorted(self._objects.items())
        done, started_ns = self._done_kind(records).value, points.to_ns(request.started)
        listing = ObjectList(
            vault=access.keys.vault,
            service=request.service,
            id=self._id,
            name=name,
            counter=counter,
            kind=done,
            started_ns=started_ns,
            objects=objects,
        )
        list_name, list_data = points.seal_list(access.credentials.signing_key, listing)
        self._put(list_name, list_data)
        return Manifest(
            vault=access.keys.vault,
            service=request.service,
            id=self._id,
            name=name,
            counter=counter,
            kind=done,
            started_ns=started_ns,
            finished_ns=time.time_ns(),
            parent=self._parent.point.name if self._parent else None,
            previous=bytes.fromhex(self._previous.point.object_name[-64:]) if self._previous else b"",
            run=self._run.key.id,
            run_commitment=self._run.commitment,
            listing=list_name,
            index=index,
            sources=records,
            stored=sum(place.sealed for _, place in self._packer.added),
            facts=facts,
        )

    def _done_kind(self, records: list[SourceRecord]) -> Kind:
        """A point is what was asked for, unless every source had to do a full."""
        return Kind.FULL if all(record.done == Kind.FULL for record in records) else self._request.kind

    def _commit_everywhere(self, manifest: Manifest, name: str, data: bytes) -> list[str]:
        done: list[str] = []
        together = self._access.stores

        def commit(store: Store) -> None:
            complete_store(store, together, {**self._objects})
            store.put(name, data)
            done.append(store.url)

        self._fan.run(commit)
        try:
            self._fan.flush()
        except CofferError:
            if not done:
                raise gravest(list(self._fan.failures.values())) from None
        return [store.url for store in together.stores if store.url in done]

    def _remember(self, manifest: Manifest, point: Point) -> None:
        self._committed = True
        self._access.heads.remember([Known(manifest, point)], self._access.configuration.number)

    def _make_id(self) -> bytes:
        if self._request.seed is None:
            return secrets.token_bytes(16)
        seed = f"{self._request.service}\0{self._request.seed}".encode()
        return blake3(self._access.keys.vault + seed, derive_key_context="coffer/1/point-id").digest()[:16]


def _known_summary(point: Point, source: Source) -> SourceSummary:
    record = point.source(source.name)
    if record is None:
        raise UsageError("The committed point has no such source", detail=f"{source.name} in {point.name}")
    return SourceSummary(record.name, record.kind, record.done, record.files, record.size, 0, 0.0, record.facts)


def _not_everywhere(point: Point, failures: Mapping[str, CofferError]) -> NotInEveryStore:
    error = NotInEveryStore(
        f"Point {point.name} is committed, but not in every store",
        detail="; ".join(f"{url}: {failure}" for url, failure in failures.items()),
        resolution="The next backup or 'coffer replicate' completes it",
    )
    error.point = point
    return error
