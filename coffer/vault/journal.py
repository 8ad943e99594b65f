"""Files that were shipped between points: `journal/SERVICE/SOURCE/MOMENT/ID-SHA256`, a shipment an object.

A shipment is self-contained: its header, sealed with the index key, lists files; behind it stands their content, sealed
with a key that only recipients can unwrap. MOMENT, nanoseconds since 1970 in twenty digits, says when it was shipped,
so that a reader takes those of a window without looking at the others. Each names the one before: a hole shows.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from coffer.errors import IntegrityError, UsageError
from coffer.keys import sealing
from coffer.vault import compression, frames, names, points
from coffer.vault.configuration import Configuration
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys
from coffer.vault.run_keys import RunKey, nonce
from coffer.vault.runs import Run
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store

LARGEST = 1 << 30
_FIRST_READ = 64 << 10
"""Bytes that hold most headers whole: contents are not read to learn what is in them."""
_DIGITS = 20


class ShippedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file, or a part of one, in a shipment.

    Attributes:
        path: As in a source's tree.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        mtime_ns: Modification time.
        size: Bytes of the whole file; with path and mtime it says to which file a part belongs.
        offset: Where in the file the part begins.
        length: Bytes of the part.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    offset: int
    length: int

    @property
    def version(self) -> tuple[bytes, int, int]:
        """What all parts of one file as it was at one time share."""
        return self.path, self.size, self.mtime_ns


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    vault: bytes
    service: str
    source: str
    shipped_ns: int
    complete_ns: int
    previous: str
    identity: bytes
    size: int
    encoding: int
    run: bytes
    wrapped_key: bytes
    content_sha256: bytes
    files: list[ShippedFile]


@dataclass(frozen=True)
class Shipment:
    """A shipment as whoever has the index key sees it.

    Attributes:
        name: Its object.
        shipped: When it was shipped, by the watcher's clock.
        complete: Up to this moment everything that had settled in the folder is in this shipment or those before.
        previous: Object name of the shipment before; empty for a first one.
        files: What is in it; their content stands in this order.
    """

    name: str
    shipped: datetime
    complete: datetime
    previous: str
    files: tuple[ShippedFile, ...]


def seal(
    keys: IndexKeys,
    run: Run,
    service: str,
    source: str,
    files: Sequence[ShippedFile],
    content: bytes,
    complete_ns: int,
    previous: str,
) -> tuple[str, bytes]:
    """Return name and bytes of a shipment.

    Raises:
        UsageError: It is too large, or its files and its content do not agree.
    """
    if len(content) > LARGEST or sum(each.length for each in files) != len(content):
        raise UsageError("That is no shipment", detail=f"{len(content)} bytes for {len(files)} files")
    shipped_ns = -(-max(time.time_ns(), complete_ns) // 1000) * 1000  # whole microseconds, as `datetime` has them
    place = _place(service, source, shipped_ns)
    object_id, key = names.new_id(), secrets.token_bytes(sealing.KEY_SIZE)
    encoding, packed = compression.DEFAULT.compress(content)
    sealed = sealing.seal(key, nonce(0), packed, _bound(keys.vault, object_id, place))
    header = _Header(
        vault=keys.vault,
        service=service,
        source=source,
        shipped_ns=shipped_ns,
        complete_ns=complete_ns,
        previous=previous,
        identity=keys.chunk_id(content),
        size=len(content),
        encoding=encoding,
        run=run.key.id,
        wrapped_key=run.key.wrap(object_id, key),
        content_sha256=hashlib.sha256(sealed).digest(),
        files=list(files),
    )
    bound_to = frames.context(ObjectKind.JOURNAL, keys.vault, object_id)
    body = keys.tag + frames.seal(keys.records, bound_to, frames.compress(frames.encode(header)))
    framed = len(body).to_bytes(4, "big") + body
    whole = frames.sign(ObjectKind.JOURNAL, keys.vault, object_id, run.signing_key, framed) + sealed
    return names.name_of(place, object_id, whole), whole


def find(stores: StoreSet, service: str, source: str, since: datetime | None, until: datetime | None) -> list[str]:
    """Return the names of the shipments of a window, oldest first.

    Raises:
        Unreachable: No store answers.
    """
    return find_among(stores.names(f"{folder(service, source)}/"), since, until)


def find_among(everything: Sequence[str], since: datetime | None, until: datetime | None) -> list[str]:
    """Return those names of shipments that are of a window."""
    least = points.to_ns(since) if since else 0
    most = points.to_ns(until) if until else 10**_DIGITS
    return [name for name in everything if least <= moment_ns(name) <= most]


def read_heads(
    stores: StoreSet, keys: IndexKeys, configuration: Configuration, wanted: Sequence[str]
) -> Iterator[Shipment]:
    """Open the headers of shipments, without their content.

    Raises:
        IntegrityError: One is not genuine in any store.
        Unreachable: No store that has it answers.
    """
    for name in wanted:
        yield stores.first_needed(name, partial(_read_head, name=name, keys=keys, configuration=configuration))


def content(
    data: bytes, name: str, keys: IndexKeys, configuration: Configuration, run_key: Callable[[bytes], RunKey]
) -> tuple[Shipment, bytes]:
    """Open a shipment whole.

    Raises:
        IntegrityError: It was forged, altered or moved.
    """
    names.check(name, data)
    header, end = _open_header(data, name, keys, configuration)
    sealed, object_name = data[end:], names.ObjectName.parse(name)
    if hashlib.sha256(sealed).digest() != header.content_sha256:
        raise IntegrityError("A shipment is not what was written", detail=name)
    key = run_key(header.run).unwrap(object_name.id, header.wrapped_key, name)
    bound_to = _bound(keys.vault, object_name.id, object_name.prefix)
    try:
        plain = compression.decompress(
            header.encoding, sealing.open_sealed(key, nonce(0), sealed, bound_to), header.size
        )
    except ValueError as error:
        raise IntegrityError("A shipment does not open", detail=f"{name}: {error}") from error
    if keys.chunk_id(plain) != header.identity:
        raise IntegrityError("A shipment is not the one that was named", detail=name)
    return _shipment(header, name), plain


def moment_ns(name: str) -> int:
    """Return when a shipment was shipped, as its name says; 0 where that is no moment.

    The sealed header says it too, and is compared.
    """
    moment = name.split("/")[-2]
    return int(moment) if moment.isdigit() else 0


def check_chain(found: Sequence[Shipment], everything: Sequence[str]) -> None:
    """Make sure that between shipments of a window none is missing.

    Args:
        found: Shipments of a window, oldest first.
        everything: Names of all shipments that are there.

    Raises:
        IntegrityError: One that a later one names is gone; older ones than the first of all may have been pruned.
    """
    there = set(everything)
    oldest = min((moment_ns(name) for name in everything), default=0)
    for each in found:
        if each.previous and each.previous not in there and moment_ns(each.previous) >= oldest:
            raise IntegrityError("A shipment of files is missing", detail=f"{each.previous}, which {each.name} names")


def check_path(path: bytes, name: str) -> None:
    """Make sure that a path stays inside the folder.

    Raises:
        IntegrityError: It is absolute, climbs out, or is no path.
    """
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise IntegrityError("A shipment names a path outside its folder", detail=f"{path!r} in {name}")


def _read_head(store: Store, name: str, keys: IndexKeys, configuration: Configuration) -> Shipment:
    data = store.get(name, 0, _FIRST_READ)
    frames.check_header(ObjectKind.JOURNAL, data, name)
    end = _end_of_head(data)
    if end > len(data):
        data += store.get(name, len(data), end - len(data))
    return _shipment(_open_header(data, name, keys, configuration)[0], name)


def _end_of_head(data: bytes) -> int:
    return frames.SIGNED_SIZE + 4 + int.from_bytes(data[frames.SIGNED_SIZE : frames.SIGNED_SIZE + 4], "big")


def _open_header(data: bytes, name: str, keys: IndexKeys, configuration: Configuration) -> tuple[_Header, int]:
    frames.check_header(ObjectKind.JOURNAL, data, name)
    writer = configuration.writer(frames.signer_of(data))
    if writer is None:
        raise IntegrityError("No writer of this vault signed it", detail=name)
    end, object_name = _end_of_head(data), names.ObjectName.parse(name)
    body = frames.open_signed(ObjectKind.JOURNAL, configuration.vault, object_name.id, writer.public, data[:end], name)[
        4:
    ]
    mine, sealed = keys.of(body, name)
    bound_to = frames.context(ObjectKind.JOURNAL, keys.vault, object_name.id)
    header = frames.decode(
        frames.decompress(frames.open_sealed(mine.records, bound_to, sealed, name), name), _Header, name
    )
    if writer.revoked_ns and header.shipped_ns >= writer.revoked_ns:
        raise IntegrityError("A revoked writer signed it", detail=f"{name}, by {writer.name}")
    if header.vault != keys.vault or _place(header.service, header.source, header.shipped_ns) != object_name.prefix:
        raise IntegrityError("A shipment stands in another's place", detail=name)
    for each in header.files:
        check_path(each.path, name)
    return header, end


def _shipment(header: _Header, name: str) -> Shipment:
    moments = points.from_ns(header.shipped_ns), points.from_ns(header.complete_ns)
    return Shipment(name, *moments, header.previous, tuple(header.files))


def folder(service: str, source: str) -> str:
    """Return where a source's shipments stand."""
    return f"{names.JOURNAL}/{names.check_word(service, 'service')}/{names.check_word(source, 'source')}"


def _place(service: str, source: str, shipped_ns: int) -> str:
    return f"{folder(service, source)}/{shipped_ns:0{_DIGITS}d}"


def _bound(vault: bytes, object_id: bytes, place: str) -> bytes:
    return frames.context(ObjectKind.JOURNAL, vault, object_id, place.encode())
