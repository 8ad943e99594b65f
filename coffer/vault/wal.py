"""WAL in the vault: `wal/CLUSTER/SEGMENT/ID-SHA256`.

A writer cannot read a segment back, but it can tell whether the same bytes are there: the header, sealed with the
index key, holds a keyed BLAKE3 of the content.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from coffer.errors import CofferError, IntegrityError, NotInEveryStore, NotThere, UsageError
from coffer.keys import sealing
from coffer.vault import compression, frames, names
from coffer.vault.capture import Fact
from coffer.vault.completion import lock_end
from coffer.vault.configuration import Configuration
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.run_keys import RunKey, nonce
from coffer.vault.runs import Run
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.protocol import Store

T = TypeVar("T")
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial-[0-9]+|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
_LARGEST = 1 << 30
_PLACED_SECONDS = 300


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    vault: bytes
    cluster: str
    segment: str
    identity: bytes
    size: int
    encoding: int
    run: bytes
    wrapped_key: bytes
    content_sha256: bytes
    written_ns: int
    facts: dict[str, Any]


class WalFile:
    """One WAL file on its way in: what must be there of it, and, once asked for, its sealed object.

    Args:
        keys: The vault's index keys.
        run: Whose key seals it.
        cluster: Name of the cluster.
        segment: Name of the file.
        data: Its bytes.
        facts: What a writer may read of it later.

    Attributes:
        place: Where its objects stand.
        identity: What its bytes are recognised by.

    Raises:
        UsageError: It has no name of a WAL file, or is larger than any.
    """

    def __init__(
        self, keys: IndexKeys, run: Run, cluster: str, segment: str, data: bytes, facts: Mapping[str, Fact]
    ) -> None:
        self.place = _place(cluster, segment)
        if len(data) > _LARGEST:
            raise UsageError("A WAL file has at most 1 GiB", detail=segment)
        self.cluster, self.segment, self.data, self.facts, self.run = cluster, segment, data, dict(facts), run
        self._keys = keys
        self._sealed: tuple[str, bytes] | None = None
        self._lock = threading.Lock()
        self.identity = keys.chunk_id(data)

    def sealed(self) -> tuple[str, bytes]:
        """Return the object, name and bytes; made once."""
        with self._lock:
            if self._sealed is None:
                self._sealed = _seal(self._keys, self)
            return self._sealed


def put(stores: StoreSet, keys: IndexKeys, configuration: Configuration, file: WalFile, placed: PlacedRuns) -> None:
    """Put a WAL file into every store that lacks it; see `VaultWriter.put_wal`."""
    window = RetentionPolicy.signed(configuration.retention).window

    def into(store: Store) -> CofferError | None:
        try:
            there = _same(store, keys, configuration, file.place, file.identity)
            if not there:
                sealed = file.sealed()
                placed.ensure(store, file.run)
                store.put(*sealed)
                there = [file.run.name, sealed[0]]
            until = lock_end(store, window)
            if until is not None:
                store.lock(there, until)
        except CofferError as error:
            return error
        return None

    if len(stores.stores) == 1:
        outcomes = [into(stores.stores[0])]
    else:
        with ThreadPoolExecutor(len(stores.stores), thread_name_prefix="wal-store") as pool:
            outcomes = list(pool.map(into, stores.stores))
    _judge(stores, file.segment, outcomes)


def _judge(stores: StoreSet, segment: str, outcomes: Sequence[CofferError | None]) -> None:
    failures = {store.url: error for store, error in zip(stores.stores, outcomes, strict=True) if error}
    for error in failures.values():
        if isinstance(error, IntegrityError):
            raise error
    if len(failures) == len(stores.stores):
        raise gravest(list(failures.values()))
    if failures:
        partly = NotInEveryStore(
            f"WAL {segment} is not in every store",
            detail="; ".join(f"{url}: {error}" for url, error in failures.items()),
            resolution="Push it again",
        )
        partly.lacking = tuple(failures)
        raise partly


class PlacedRuns:
    """Remembers which store already has which run's key, so that not every WAL file puts it again.

    For minutes only: a store whose disk was changed under us gets it again.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def ensure(self, store: Store, run: Run) -> None:
        """Put a run's key unless that was done a moment ago; raises as `Store.put` does."""
        key, now = (store.url, run.name), time.monotonic()
        if self._until.get(key, 0.0) <= now:
            store.put(run.name, run.data)
            self._until[key] = now + _PLACED_SECONDS


def get(
    stores: StoreSet,
    keys: IndexKeys,
    configuration: Configuration,
    run_key: Callable[[bytes], RunKey],
    cluster: str,
    segment: str,
) -> bytes:
    """Return a segment; see `VaultReader.get_wal`."""
    found = stores.where(f"{_place(cluster, segment)}/")
    if not found:
        stores.where(f"{_place(cluster, segment)}/", every_store=True)
        raise NotThere(f"There is no WAL {segment}", detail=f"of {cluster} in {stores.describe()}")
    contents = _genuine(stores, found, lambda name, data: content(data, name, keys, configuration, run_key))
    if any(other != contents[0] for other in contents[1:]):
        raise IntegrityError("Two different segments bear the same name", detail=", ".join(found))
    return contents[0]


def _genuine(stores: StoreSet, found: Iterable[str], opened: Callable[[str, bytes], T]) -> list[T]:
    """Open those objects of a segment that are genuine; rot and forgeries beside them are passed over with a note.

    Raises:
        CofferError: None is.
    """
    genuine: list[T] = []
    failures: list[CofferError] = []
    for name in found:
        try:
            genuine.append(opened(name, stores.read(name)))
        except (IntegrityError, NotThere) as error:
            failures.append(error)
            stores.note(f"{name} is passed over: {error}")
    if failures and not genuine:
        raise gravest(failures)
    return genuine


def content(
    data: bytes, name: str, keys: IndexKeys, configuration: Configuration, run_key: Callable[[bytes], RunKey]
) -> bytes:
    """Open a WAL object.

    Raises:
        IntegrityError: It was forged, altered or moved.
    """
    header, sealed = _open_header(data, name, keys, configuration)
    object_id = names.check(name, data).id
    if hashlib.sha256(sealed).digest() != header.content_sha256:
        raise IntegrityError("A WAL segment is not what was written", detail=name)
    key = run_key(header.run).unwrap(object_id, header.wrapped_key, name)
    bound_to = _bound(keys.vault, object_id, header.cluster, header.segment)
    try:
        plain = compression.decompress(
            header.encoding, sealing.open_sealed(key, nonce(0), sealed, bound_to), header.size
        )
    except ValueError as error:
        raise IntegrityError("A WAL segment does not open", detail=f"{name}: {error}") from error
    if keys.chunk_id(plain) != header.identity:
        raise IntegrityError("A WAL segment is not the one that was named", detail=name)
    return plain


def segments(stores: StoreSet, cluster: str, *, every_store: bool) -> list[str]:
    """Return the names of a cluster's WAL, sorted."""
    names.check_word(cluster, "cluster")
    found = stores.names(f"{names.WAL}/{cluster}/", every_store=every_store)
    return sorted({name.split("/")[2] for name in found})


def presence(stores: StoreSet, configuration: Configuration, cluster: str, segment: str) -> dict[str, bool]:
    """Tell for each store that answers whether a genuine copy of a segment reads back from it."""
    place = _place(cluster, segment)
    present: dict[str, bool] = {}
    failures: list[CofferError] = []
    for store in stores.stores:
        try:
            present[store.url] = _reads_back(store, configuration, place)
        except CofferError as error:
            failures.append(error)
            stores.note(f"{store.url}: {error}")
    if not present:
        raise gravest(failures)
    return present


def facts(
    stores: StoreSet, keys: IndexKeys, configuration: Configuration, cluster: str, segment: str
) -> dict[str, Fact]:
    """Return what a WAL file's writer noted; see `VaultWriter.wal_facts`."""
    place = _place(cluster, segment)
    found = stores.names(f"{place}/")
    if not found:
        raise NotThere(f"There is no WAL {segment}", detail=f"of {cluster} in {stores.describe()}")
    headers = _genuine(stores, found, lambda name, data: _open_header(data, name, keys, configuration)[0])
    return headers[0].facts


def _same(store: Store, keys: IndexKeys, configuration: Configuration, place: str, identity: bytes) -> list[str]:
    """Return the objects that hold these bytes already; rot and forgeries are none: the segment is put beside them."""
    there = []
    alone = StoreSet([store])
    for info in store.list(f"{place}/"):
        try:
            header, _ = _open_header(alone.read(info.name), info.name, keys, configuration)
        except (IntegrityError, NotThere):
            continue
        if header.identity != identity:
            raise IntegrityError("Other bytes are there under that name", detail=f"{place} in {store.url}")
        there.append(info.name)
    return there


def _reads_back(store: Store, configuration: Configuration, place: str) -> bool:
    found = [info.name for info in store.list(f"{place}/")]
    return bool(_genuine(StoreSet([store]), found, lambda name, data: _signed_part(data, name, configuration)))


def _seal(keys: IndexKeys, file: WalFile) -> tuple[str, bytes]:
    object_id, key, run = names.new_id(), secrets.token_bytes(sealing.KEY_SIZE), file.run
    encoding, packed = compression.DEFAULT.compress(file.data)
    sealed = sealing.seal(key, nonce(0), packed, _bound(keys.vault, object_id, file.cluster, file.segment))
    header = _Header(
        vault=keys.vault,
        cluster=file.cluster,
        segment=file.segment,
        identity=file.identity,
        size=len(file.data),
        encoding=encoding,
        run=run.key.id,
        wrapped_key=run.key.wrap(object_id, key),
        content_sha256=hashlib.sha256(sealed).digest(),
        written_ns=time.time_ns(),
        facts=file.facts,
    )
    bound_to = frames.context(ObjectKind.WAL, keys.vault, object_id)
    body = keys.tag + frames.seal(keys.wal, bound_to, frames.encode(header))
    signed = frames.sign(ObjectKind.WAL, keys.vault, object_id, run.signing_key, len(body).to_bytes(4, "big") + body)
    whole = signed + sealed
    return names.name_of(file.place, object_id, whole), whole


def _signed_part(data: bytes, name: str, configuration: Configuration) -> bytes:
    frames.check_header(ObjectKind.WAL, data, name)
    writer = configuration.writer(frames.signer_of(data))
    if writer is None:
        raise IntegrityError("No writer of this vault signed it", detail=name)
    end = frames.SIGNED_SIZE + 4 + int.from_bytes(data[frames.SIGNED_SIZE : frames.SIGNED_SIZE + 4], "big")
    object_id = names.ObjectName.parse(name).id
    return frames.open_signed(ObjectKind.WAL, configuration.vault, object_id, writer.public, data[:end], name)[4:]


def _open_header(data: bytes, name: str, keys: IndexKeys, configuration: Configuration) -> tuple[_Header, bytes]:
    body = _signed_part(data, name, configuration)
    object_name = names.ObjectName.parse(name)
    mine, sealed = keys.of(body, name)
    plain = frames.open_sealed(mine.wal, frames.context(ObjectKind.WAL, keys.vault, object_name.id), sealed, name)
    header = frames.decode(plain, _Header, name)
    writer = configuration.writer(frames.signer_of(data))
    if writer is not None and writer.revoked_ns and header.written_ns >= writer.revoked_ns:
        raise IntegrityError("A revoked writer signed it", detail=f"{name}, by {writer.name}")
    if header.vault != keys.vault or _place(header.cluster, header.segment) != object_name.prefix:
        raise IntegrityError("A WAL segment stands in another's place", detail=name)
    return header, data[frames.SIGNED_SIZE + 4 + len(body) :]


def _place(cluster: str, segment: str) -> str:
    names.check_word(cluster, "cluster")
    if not _SEGMENT.fullmatch(segment):
        raise UsageError("That is no name of a WAL file", detail=segment)
    return f"{names.WAL}/{cluster}/{segment}"


def _bound(vault: bytes, object_id: bytes, cluster: str, segment: str) -> bytes:
    return frames.context(ObjectKind.WAL, vault, object_id, f"{cluster}/{segment}".encode())
