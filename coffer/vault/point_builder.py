"""A point in the making: sources are captured, and last of all one manifest makes it exist."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from coffer.errors import CofferError, DamagedAtSource, NotInEveryStore, UsageError
from coffer.vault import point_records, points, same_again
from coffer.vault.base_point import BasePoint, parent_tree
from coffer.vault.capture import Fact, Kind, Source
from coffer.vault.catalogue import Known
from coffer.vault.chunk_usage import usage
from coffer.vault.point_records import PointIdentity
from coffer.vault.point_request import PointOptions, PointRequest, SourceSummary, WriterAccess
from coffer.vault.points import Manifest, Point, SourceRecord
from coffer.vault.prune_guard import PruneGuard
from coffer.vault.run_output import RunOutput
from coffer.vault.tree_capture import TreeCapture

__all__ = ["PointBuilder", "PointOptions", "PointRequest", "SourceSummary", "WriterAccess"]


class PointBuilder:
    """Captures sources and commits the point; a context manager, and leaving it without commit leaves no point.

    Attributes:
        existing: The committed point of the same seed; then capturing and committing do nothing more.
    """

    def __init__(
        self,
        access: WriterAccess,
        request: PointRequest,
        known: list[Known],
        parent: Known | None,
        options: PointOptions,
    ) -> None:
        self._options = options
        self._access = access
        self._request = request
        self._id = request.point_id(access.keys.vault)
        self._previous = known[-1] if known else None
        self._parent = parent
        same = [each for each in known if each.manifest.id == self._id]
        self.existing: Point | None = same[0].point if same else None
        self._captures: dict[str, tuple[TreeCapture, SourceSummary]] = {}
        self._output: RunOutput | None = None

    @property
    def id(self) -> str:
        """Id of the point in the making; the same seed gives the same one."""
        return self._id.hex()

    def __enter__(self) -> PointBuilder:
        """Start the run, unless the point exists."""
        if self.existing is None:
            access = self._access
            guard = PruneGuard(access.stores, access.keys.vault, access.retention.grace)
            base = BasePoint.load(access, self._parent or self._previous, guard)
            if self._parent is not None and not base.whole:
                # Its sources would build upon what is lost or about to be swept: they do a full.
                self._parent, base = None, BasePoint.load(access, self._previous, guard)
            self._output = RunOutput(access, base, guard, self._options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; what was put stays unreferenced unless committed."""
        if self._output is not None:
            self._output.close()
            self._output = None

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
        output = self._running()
        before = time.monotonic()
        manifest = self._parent.manifest if self._parent else None
        parent = parent_tree(
            self._access,
            manifest,
            source.name,
            source.kind,
            output.numbers,
            reads_again=getattr(source, "reads_again", False),
        )
        keys, trees = self._access.keys, output.trees(parent)
        sink = TreeCapture(keys, output.pipeline, output.bundle, parent, trees, self._options)
        kind = self._request.kind if parent is not None else Kind.FULL
        facts = dict(source.capture(sink, kind, parent))
        output.pipeline.check()
        summary = _summarise(source, sink, kind, facts, time.monotonic() - before)
        self._captures[source.name] = (sink, summary)
        return summary

    def commit(self, facts: Mapping[str, Fact]) -> Point:
        """Make the point exist: everything it names is durable before its manifest is put, last of all.

        Args:
            facts: What to remember with the point: LSN, digests, order of capture.

        Raises:
            DamagedAtSource: It is committed and marked: something was damaged at its source already; the point is the
                error's `point`.
            NotInEveryStore: It is committed, but not everywhere; the point is the error's `point`.
            CofferError: What the gravest store said, when none has it.
        """
        if self.existing is not None:
            return _unless_damaged(self.existing)
        if not self._captures:
            raise UsageError("A point needs a source")
        output = self._running()
        output.finish_chunks()
        manifest = self._put_records(output, facts)
        name, data = points.seal_manifest(self._access.keys, self._access.credentials.signing_key, manifest)
        stores = output.commit(name, data)
        point = points.describe(manifest, name, tuple(stores))
        self._access.heads.remember([Known(manifest, point)], self._access.configuration.number)
        if output.failures and not point.damage:
            raise _not_everywhere(point, output.failures)
        return _unless_damaged(point)

    def _put_records(self, output: RunOutput, facts: Mapping[str, Fact]) -> Manifest:
        access = self._access
        sources, segments, renew = self._put_sources(output)
        previous = self._previous
        newest = max(previous.point.counter if previous else 0, access.heads.counter(self._request.service))
        identity = PointIdentity(
            id=self._id,
            counter=newest + 1,
            parent=self._parent.point.name if self._parent else None,
            previous=bytes.fromhex(previous.point.object_name[-64:]) if previous else b"",
        )
        return point_records.make_manifest(access, output, self._request, identity, sources, segments, renew, facts)

    def _put_sources(self, output: RunOutput) -> tuple[list[SourceRecord], list[str], bytes]:
        """Return the sources' records, the indexes that know their chunks, and which of those to store anew."""
        parts = {name: sink.finish() for name, (sink, _) in self._captures.items()}
        base = output.base.manifest
        if self._parent is not None and base is self._parent.manifest and same_again.is_same(output, parts):
            same_again.name_again(self._access, output, base)
            summaries = [summary for _, summary in self._captures.values()]
            return same_again.source_records(base, summaries, parts), list(base.index), b""
        for sink, _ in self._captures.values():
            sink.trees.count_shared()
        used = usage([sink.trees.live for sink, _ in self._captures.values()], output.numbers)
        chunks = point_records.put_index(self._access, output, used)
        sources = [
            point_records.source_record(sink, summary, parts[name], chunks, output.numbers)
            for name, (sink, summary) in self._captures.items()
        ]
        return sources, chunks.segments, chunks.renew

    def _running(self) -> RunOutput:
        if self._output is None:
            raise UsageError("A point is made in a with block")
        return self._output


def _summarise(
    source: Source, sink: TreeCapture, kind: Kind, facts: Mapping[str, Fact], seconds: float
) -> SourceSummary:
    done = Kind(str(facts.get("kind", kind)))
    return SourceSummary(source.name, source.kind, done, sink.files, sink.size, sink.read, seconds, facts)


def _known_summary(point: Point, source: Source) -> SourceSummary:
    record = point.source(source.name)
    if record is None:
        raise UsageError("The committed point has no such source", detail=f"{source.name} in {point.name}")
    return SourceSummary(record.name, record.kind, record.done, record.files, record.size, 0, 0.0, record.facts)


def _unless_damaged(point: Point) -> Point:
    """Return a committed point, unless what it was taken from was damaged: then nobody may overlook it."""
    if not point.damage:
        return point
    error = DamagedAtSource(
        f"Point {point.name} is committed, but its source is damaged",
        detail=point.damage,
        resolution="Mend the source from an earlier point; this one counts as proven for nothing",
    )
    error.point = point
    raise error


def _not_everywhere(point: Point, failures: Mapping[str, CofferError]) -> NotInEveryStore:
    error = NotInEveryStore(
        f"Point {point.name} is committed, but not in every store",
        detail="; ".join(f"{url}: {failure}" for url, failure in failures.items()),
        resolution="'coffer replicate' brings it there",
    )
    error.point = point
    return error
