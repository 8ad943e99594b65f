"""Recovery points: what people see of them, and the signed records behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from coffer.errors import Forged, IntegrityError
from coffer.vault import frames, names
from coffer.vault.capture import Fact, Kind
from coffer.vault.configuration import Configuration
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys


@dataclass(frozen=True)
class PointSource:
    """One source inside a point.

    Attributes:
        name: Name inside the point.
        kind: Kind of source: `postgres`, `files`.
        done: What was really done: a source without a usable parent does a full.
        files: Number of entries.
        size: Bytes of content that a restore gives back.
        facts: What the source remembered.
    """

    name: str
    kind: str
    done: Kind
    files: int
    size: int
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A committed recovery point.

    Attributes:
        name: Unique within its service: counter, time, first digits of its id.
        service: Whose point it is.
        kind: What it was compared with.
        counter: Orders the points of a service; never goes back, whatever clocks do.
        started: When the capture began, UTC.
        finished: When it was committed, UTC.
        parent: Name of the point that it was compared with.
        sources: What it holds.
        size: Bytes that a restore of everything gives back.
        stored: Bytes that this point added to the vault.
        facts: What the caller remembered at commit: LSN, digests, order of capture.
        stores: Addresses of the stores that have it.
        object_name: Its manifest.
    """

    name: str
    service: str
    kind: Kind
    counter: int
    started: datetime
    finished: datetime
    parent: str | None
    sources: tuple[PointSource, ...]
    size: int
    stored: int
    facts: Mapping[str, Fact]
    stores: tuple[str, ...]
    object_name: str

    @property
    def damage(self) -> str:
        """What was damaged at its sources already when they were read; such a point is never proven."""
        return damage_of(self.sources)

    def source(self, name: str) -> PointSource | None:
        """Return one of its sources by name."""
        return next((source for source in self.sources if source.name == name), None)


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A source as a manifest holds it; a restore gives `live` bytes of content, from chunks of `reads` bytes.

    `looks` holds, for each of `trees`, 32 bytes: what `looks.hash_of` gives for its names, or zeros.
    """

    name: str
    kind: str
    done: str
    files: int
    size: int
    trees: list[str]
    facts: dict[str, Any]
    live: int = 0
    reads: int = 0
    looks: bytes = b""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A point as the vault holds it: complete, whatever its kind."""

    vault: bytes
    service: str
    id: bytes
    name: str
    counter: int
    kind: str
    started_ns: int
    finished_ns: int
    parent: str | None
    previous: bytes
    run: bytes
    run_commitment: bytes
    listing: str
    index: list[str]
    sources: list[SourceRecord]
    stored: int
    facts: dict[str, Any]
    renew: bytes = b""

    def source(self, name: str) -> SourceRecord | None:
        """Return one of its sources by name."""
        return next((source for source in self.sources if source.name == name), None)


class ObjectList(msgspec.Struct, frozen=True, kw_only=True):
    """What a point needs, for those without keys: names and sizes; and the names of its sources.

    A source of a service that a point holds needs no older shipments of the journal. `damage` says in words what was
    damaged at the sources already.
    """

    vault: bytes
    service: str
    id: bytes
    name: str
    counter: int
    kind: str
    started_ns: int
    objects: list[tuple[str, int]]
    damage: str = ""
    sources: list[str] = []


def damage_of(sources: Iterable[PointSource | SourceRecord]) -> str:
    """Return what was damaged at the sources already when they were read; nothing if all was well."""
    return "; ".join(f"{source.name}: {text!s}" for source in sources if (text := source.facts.get("damage")))


def folder(prefix: str, service: str, name: str) -> str:
    """Return where a point's manifest or list stands."""
    return f"{prefix}/{service}/{name}"


def seal_manifest(keys: IndexKeys, signing_key: bytes, manifest: Manifest) -> tuple[str, bytes]:
    """Return name and bytes of a manifest: sealed with the index key, signed by the writer."""
    bound_to = frames.context(ObjectKind.MANIFEST, keys.vault, manifest.id)
    sealed = keys.tag + frames.seal(keys.records, bound_to, frames.compress(frames.encode(manifest)))
    data = frames.sign(ObjectKind.MANIFEST, keys.vault, manifest.id, signing_key, sealed)
    return names.name_of(folder(names.POINTS, manifest.service, manifest.name), manifest.id, data), data


def open_manifest(keys: IndexKeys, configuration: Configuration, name: str, data: bytes) -> Manifest:
    """Check a manifest's signature and place, and open it.

    Raises:
        IntegrityError: It was forged, altered, or moved.
    """
    object_name = names.check(name, data)
    mine, body = keys.of(_signed_by_writer(ObjectKind.MANIFEST, configuration, name, data), name)
    bound_to = frames.context(ObjectKind.MANIFEST, keys.vault, object_name.id)
    plain = frames.decompress(frames.open_sealed(mine.records, bound_to, body, name), name)
    manifest = frames.decode(plain, Manifest, name)
    place = folder(names.POINTS, manifest.service, manifest.name)
    if manifest.vault != keys.vault or manifest.id != object_name.id or place != object_name.prefix:
        raise IntegrityError("A point stands in another's place", detail=name)
    return manifest


def seal_list(signing_key: bytes, record: ObjectList) -> tuple[str, bytes]:
    """Return name and bytes of a point's list: signed, not sealed."""
    data = frames.sign(ObjectKind.LIST, record.vault, record.id, signing_key, frames.compress(frames.encode(record)))
    return names.name_of(folder(names.LISTS, record.service, record.name), record.id, data), data


def open_list(configuration: Configuration, name: str, data: bytes) -> ObjectList:
    """Check a list's signature and place.

    Raises:
        IntegrityError: It was forged, altered, or moved.
    """
    object_name = names.check(name, data)
    body = _signed_by_writer(ObjectKind.LIST, configuration, name, data)
    record = frames.decode(frames.decompress(body, name), ObjectList, name)
    place = folder(names.LISTS, record.service, record.name)
    if record.vault != configuration.vault or record.id != object_name.id or place != object_name.prefix:
        raise IntegrityError("A list stands in another's place", detail=name)
    for each, _ in record.objects:
        names.ObjectName.parse(each)
    return record


def _signed_by_writer(kind: ObjectKind, configuration: Configuration, name: str, data: bytes) -> bytes:
    frames.check_header(kind, data, name)
    writer = configuration.writer(frames.signer_of(data))
    if writer is None:
        raise Forged("No writer of this vault signed it", detail=name)
    if writer.revoked_ns and hashlib.sha256(data).digest() not in writer.kept:
        raise Forged("A revoked writer signed it", detail=f"{name}, by {writer.name}")
    object_id = names.ObjectName.parse(name).id
    return frames.open_signed(kind, configuration.vault, object_id, writer.public, data, name)


def describe(manifest: Manifest, object_name: str, stores: tuple[str, ...]) -> Point:
    """Return a manifest as people see it."""
    sources = tuple(
        PointSource(source.name, source.kind, Kind(source.done), source.files, source.size, source.facts)
        for source in manifest.sources
    )
    return Point(
        name=manifest.name,
        service=manifest.service,
        kind=Kind(manifest.kind),
        counter=manifest.counter,
        started=from_ns(manifest.started_ns),
        finished=from_ns(manifest.finished_ns),
        parent=manifest.parent,
        sources=sources,
        size=sum(source.size for source in sources),
        stored=manifest.stored,
        facts=manifest.facts,
        stores=stores,
        object_name=object_name,
    )


def from_ns(moment: int) -> datetime:
    """Return nanoseconds since the epoch as a time in UTC (microseconds kept)."""
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).replace(microsecond=moment // 1000 % 1_000_000)


def to_ns(moment: datetime) -> int:
    """Return an aware time as nanoseconds since the epoch."""
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
