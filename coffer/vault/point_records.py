"""The records of a point: subtrees, index, list, manifest; what the base point has is named, not stored."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coffer.vault import chunk_index, key_objects, names, points, trees
from coffer.vault.capture import Fact, Kind
from coffer.vault.chunk_usage import used_chunks
from coffer.vault.point_request import PointRequest, SourceSummary, WriterAccess
from coffer.vault.points import Manifest, ObjectList, SourceRecord
from coffer.vault.run_output import RunOutput
from coffer.vault.tree_capture import TreeCapture
from coffer.vault.trees import TreeEntry

_MOST_SEGMENTS = 16


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


def put_tree(access: WriterAccess, output: RunOutput, sink: TreeCapture, summary: SourceSummary) -> SourceRecord:
    """Put a source's subtrees and return its record; subtrees that the parent has are shared."""
    shared = sink.parent.subtrees if sink.parent else {}
    listed = output.base.listed
    found: list[str] = []
    for part in trees.cut([sink.entries[path] for path in sorted(sink.entries)]):
        tree_id, name, data = trees.seal(access.keys, part, output.numbers)
        if shared.get(tree_id) in listed:
            name = shared[tree_id]
            output.objects[name] = listed[name]
        else:
            output.put(name, data)
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


def put_index(access: WriterAccess, output: RunOutput, files: Iterable[Iterable[TreeEntry]]) -> list[str]:
    """Put where this run's chunks are; name the base's segments and packs that are still needed.

    When segments have become many, one new segment replaces them.
    """
    base = output.base
    used = used_chunks(files, output.numbers)
    reused = {chunk: place for chunk, place in base.known.items() if chunk in used}
    packs = {place.pack.name: place.pack for place in reused.values()}
    _name_run_keys(access, output, {pack.run for pack in packs.values()})
    output.objects.update({name: pack.size for name, pack in packs.items()})
    older = [name for name in (base.manifest.index if base.manifest else []) if name in base.listed]
    added = list(output.packer.added)
    if len(older) >= _MOST_SEGMENTS:
        older, added = [], [*reused.items(), *added]
    output.objects.update({name: base.listed[name] for name in older})
    if not added:
        return older
    name, data = chunk_index.seal(access.keys, added)
    output.put(name, data)
    return [*older, name]


def make_manifest(
    access: WriterAccess,
    output: RunOutput,
    request: PointRequest,
    identity: PointIdentity,
    sources: list[SourceRecord],
    index: list[str],
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
        index=index,
        sources=sources,
        stored=sum(place.sealed for _, place in output.packer.added),
        facts=dict(facts),
    )


def _name_run_keys(access: WriterAccess, output: RunOutput, runs: set[bytes]) -> None:
    """Name the key objects of earlier runs as they are now: they may have been rewrapped."""
    if not runs:
        return
    for name, size in access.stores.sizes(f"{names.KEYS}/{key_objects.RUN}-").items():
        if bytes.fromhex(name.split("/")[1].removeprefix("run-")) in runs:
            output.objects[name] = size
