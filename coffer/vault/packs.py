"""Packs: sealed chunks, one after the other, under one content key a pack."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Container

from coffer.errors import IntegrityError
from coffer.keys import sealing
from coffer.vault import compression, frames, names
from coffer.vault.chunk_index import Location, PackRecord, row_type
from coffer.vault.compression import DEFAULT, Compression
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np
from coffer.vault.run_keys import RunKey, nonce
from coffer.vault.stores.protocol import Buffer

TARGET_SIZE = 32 << 20
WRAPPED_SIZE = sealing.NONCE_SIZE + sealing.KEY_SIZE + sealing.TAG_SIZE
HEADER_SIZE = frames.HEADER_SIZE + 16 + 16 + 16 + WRAPPED_SIZE


class _Pack:
    """A pack being filled; its parts arrive in any order."""

    def __init__(self, run: RunKey) -> None:
        self.id = names.new_id()
        self.content_key = secrets.token_bytes(sealing.KEY_SIZE)
        self.wrapped = run.wrap(self.id, self.content_key)
        self.parts: list[bytes] = []
        self.rows: list[tuple[bytes, int, int]] = []
        self.allotted = 0
        self.open_parts = 0
        self.closed = False


class PackWriter:
    """Compresses and seals chunks into packs; safe to call from several threads.

    Args:
        keys: The vault's index keys.
        run: The key of this run.
        known: Chunks that need not be stored again.
        emit: Takes each finished pack: name and bytes.
        compression: How chunks are compressed.

    Attributes:
        added: Each pack, and the chunks in it as rows of an index.
    """

    def __init__(
        self,
        keys: IndexKeys,
        run: RunKey,
        known: Container[bytes],
        emit: Callable[[str, bytes], None],
        compression: Compression = DEFAULT,
    ) -> None:
        self.keys = keys
        self.run = run
        self.known = known
        self.added: list[tuple[PackRecord, NDArray[np.void]]] = []
        self._compression = compression
        self._taken: set[bytes] = set()
        self._emit = emit
        self._pack: _Pack | None = None
        self._lock = threading.Lock()
        self._completing = threading.Lock()

    def store(self, data: bytes) -> bytes:
        """Store a chunk unless it is known. Returns its id."""
        chunk_id = self.keys.chunk_id(data)
        with self._lock:
            if chunk_id in self._taken or chunk_id in self.known:
                return chunk_id
            self._taken.add(chunk_id)
        encoding, packed = self._compression.compress(data)
        pack, position = self._allot(chunk_id, len(packed), len(data), encoding)
        bound_to = _chunk_context(self.keys.vault, pack.id, position, chunk_id)
        sealed = sealing.seal(pack.content_key, nonce(position), packed, bound_to)
        self._place(pack, position, sealed)
        return chunk_id

    def finish(self) -> None:
        """Emit what is still being filled. No chunk may be in work."""
        with self._lock:
            pack, self._pack = self._pack, None
        if pack is not None:
            self._complete(pack)

    def _allot(self, chunk_id: bytes, packed: int, size: int, encoding: int) -> tuple[_Pack, int]:
        with self._lock:
            if self._pack is None:
                self._pack = _Pack(self.run)
            pack = self._pack
            position = len(pack.parts)
            pack.parts.append(b"")
            pack.rows.append((chunk_id, size, encoding))
            pack.open_parts += 1
            pack.allotted += packed + sealing.TAG_SIZE
            if pack.allotted >= TARGET_SIZE:
                pack.closed, self._pack = True, None
            return pack, position

    def _place(self, pack: _Pack, position: int, sealed: bytes) -> None:
        with self._lock:
            pack.parts[position] = sealed
            pack.open_parts -= 1
            complete = pack.closed and not pack.open_parts
        if complete:
            with self._completing:  # one pack at a time is joined and waits for the stores: they bound memory
                self._complete(pack)

    def _complete(self, pack: _Pack) -> None:
        head = frames.header(ObjectKind.PACK) + self.keys.vault + pack.id + self.run.id + pack.wrapped
        data = b"".join((head, *pack.parts))
        name = names.name_of(names.spread(names.PACKS, pack.id), pack.id, data)
        record = PackRecord(name, len(data), self.run.id, pack.wrapped)
        rows = np.zeros(len(pack.rows), row_type())
        rows["id"] = np.frombuffer(b"".join([row[0] for row in pack.rows]), np.uint8).reshape(-1, 32)
        rows["position"] = np.arange(rows.size)
        rows["sealed"] = [len(part) for part in pack.parts]
        rows["offset"] = HEADER_SIZE + np.cumsum(rows["sealed"]) - rows["sealed"]
        rows["size"] = [row[1] for row in pack.rows]
        rows["encoding"] = [row[2] for row in pack.rows]
        pack.parts.clear()
        self._emit(name, data)
        with self._lock:
            self.added.append((record, rows))


def open_chunk(keys: IndexKeys, content_key: bytes, chunk_id: bytes, place: Location, sealed: Buffer) -> bytes:
    """Open a sealed chunk and prove that it is the one meant.

    Raises:
        IntegrityError: It was damaged, moved, or is another one.
    """
    where = f"{place.pack.name} at {place.offset}"
    bound_to = _chunk_context(keys.vault, names.ObjectName.parse(place.pack.name).id, place.position, chunk_id)
    try:
        packed = sealing.open_sealed(content_key, nonce(place.position), sealed, bound_to)
        content = compression.decompress(place.encoding, packed, place.size)
    except ValueError as error:
        raise IntegrityError("An object is not what was written", detail=f"{where}: {error}") from error
    if keys.chunk_id(content) != chunk_id:
        raise IntegrityError("A chunk is not the one that was named", detail=where)
    return content


def _chunk_context(vault: bytes, pack: bytes, position: int, chunk_id: bytes) -> bytes:
    return frames.context(ObjectKind.PACK, vault, pack, position.to_bytes(4, "big") + chunk_id)
