"""The records of a point: subtrees, index, list, manifest; what the base point has is named, not stored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from coffer.vault import chunk_index, names, points
from coffer.vault.capture import Fact, Kind
from coffer.vault.chunk_index import PackRecord
from coffer.vault.chunk_usage import Usage, usage
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.known_chunks import Rows, ids_of, joined
from coffer.vault.numeric import np
from coffer.vault.parent_tree import NO_LOOK
from coffer.vault.point_request import PointRequest, SourceSummary, WriterAccess
from coffer.vault.points import Manifest, ObjectList, SourceRecord
from coffer.vault.run_output import RunOutput
from coffer.vault.subtree_writer import Part
from coffer.vault.tree_capture import TreeCapture
from coffer.vault.upkeep import chunks_to_renew

MOST_SEGMENTS = 16


@dataclass(frozen=True)
class PointIdentity:
    """Which point it is.

    Attributes:
        id: Its id.
        counter: Its place among the service's points.
        parent: Name of the point it was compared with.
        previous: SHA-256 of the manifest before it, or empty.
    """

    id: bytes
    counter: int
    parent: str | None
    previous: bytes


@dataclass(frozen=True)
class Chunks:
    """The chunks of a point.

    Attributes:
        packs: Packs that rows count.
        rows: One row a chunk, as an index has it.
        used: How much of each the point uses.
        segments: The indexes that know them.
    """

    packs: list[PackRecord]
    rows: Rows
    used: Usage
    segments: list[str]

    @property
    def renew(self) -> bytes:
        """What the next backup shall store anew."""
        return chunks_to_renew(self.packs, self.rows, self.used.of(self.rows))


def source_record(
    sink: TreeCapture, summary: SourceSummary, parts: list[Part], chunks: Chunks, numbers: ChunkNumbers
) -> SourceRecord:
    """Return a source's record."""
    mine = usage([sink.trees.live], numbers)
    rows = mine.rows_in(chunks.rows)
    return SourceRecord(
        name=summary.name,
        kind=summary.kind,
        done=summary.done.value,
        files=summary.files,
        size=summary.size,
        trees=[name for name, _ in parts],
        looks=looks_of(parts),
        facts=dict(summary.facts),
        live=int(mine.of(rows).sum()),
        reads=int(rows["size"].sum(dtype=np.int64)),
    )


def looks_of(parts: list[Part]) -> bytes:
    """Return the looks of subtrees as a source's record holds them."""
    return b"".join([look or NO_LOOK for _, look in parts])


def put_index(access: WriterAccess, output: RunOutput, used: Usage) -> Chunks:
    """Put where this run's chunks are; name the base's segments and packs that are still needed.

    When segments have become many, one new segment replaces them.
    """
    base = output.base
    added = joined([([pack], rows) for pack, rows in output.packer.added])
    known = base.known.used(used.ids)
    reused = joined([(base.known.packs, known[~np.isin(ids_of(known), ids_of(added[1]))])])
    packs, rows = joined([reused, added])
    name_run_keys(access, output, {pack.run for pack in reused[0]})
    output.objects.update({pack.name: pack.size for pack in reused[0]})
    older = base.manifest.index if base.manifest else []
    segments = [name for name in older if name in base.listed]
    fold = len(segments) >= MOST_SEGMENTS or len(segments) < len(older)  # one of them is about to be swept
    if fold:
        segments = []
    for name in segments:
        output.name_again(name)
    if fold or added[0]:
        name, data = chunk_index.seal(access.keys, *((packs, rows) if fold else added))
        output.put(name, data)
        segments = [*segments, name]
    return Chunks(packs, used.rows_in(rows), used, segments)


def make_manifest(
    access: WriterAccess,
    output: RunOutput,
    request: PointRequest,
    identity: PointIdentity,
    sources: list[SourceRecord],
    segments: list[str],
    renew: bytes,
    facts: Mapping[str, Fact],
) -> Manifest:
    """Put the point's list and return its manifest, which is yet to be put."""
    output.put_run_key()
    name = request.point_name(identity.counter, identity.id)
    # A point is what was asked for, unless every source had to do a full.
    kind = Kind.FULL if all(source.done == Kind.FULL for source in sources) else request.kind
    listing, data = points.seal_list(
        access.credentials.signing_key,
        ObjectList(
            vault=access.keys.vault,
            service=request.service,
            id=identity.id,
            name=name,
            counter=identity.counter,
            kind=kind.value,
            started_ns=points.to_ns(request.started),
            objects=sorted(output.objects.items()),
            damage=points.damage_of(sources),
            sources=sorted(source.name for source in sources),
        ),
    )
    output.put(listing, data)
    return Manifest(
        vault=access.keys.vault,
        service=request.service,
        id=identity.id,
        name=name,
        counter=identity.counter,
        kind=kind.value,
        started_ns=points.to_ns(request.started),
        finished_ns=time.time_ns(),
        parent=identity.parent,
        previous=identity.previous,
        run=output.run.key.id,
        run_commitment=output.run.commitment,
        listing=listing,
        index=segments,
        sources=sources,
        stored=sum(int(rows["sealed"].sum(dtype=np.int64)) for _, rows in output.packer.added),
        facts=dict(facts),
        renew=renew,
    )


def name_run_keys(access: WriterAccess, output: RunOutput, runs: set[bytes]) -> None:
    """Name the key objects of earlier runs as they are now: they may have been rewrapped."""
    if not runs:
        return
    for name, size in access.stores.sizes(names.RUN_KEYS).items():
        if bytes.fromhex(name.rpartition("/")[0].removeprefix(names.RUN_KEYS)) in runs:
            output.objects[name] = size
