"""A source's names and page maps, in subtrees that two points share where they are equal.

The sorted list of entries is cut where a path's checksum says so: a change moves no cut but those beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from blake3 import blake3

from coffer.errors import IntegrityError
from coffer.keys import sealing
from coffer.vault import extents, frames, names
from coffer.vault.capture import EntryType, StoredEntry
from coffer.vault.chunks import ChunkNumbering, ChunkNumbers
from coffer.vault.frames import ObjectKind
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import np

HEAVIEST = (64 << 10) * extents.ITEM_SIZE
"""A subtree ends where `looks.ends_run` says so, or with so many bytes of extents: it stays below a megabyte or two."""
_TYPES = (EntryType.FILE, EntryType.DIRECTORY, EntryType.SYMLINK)


class TreeEntry(msgspec.Struct, array_like=True, gc=False):
    """One name. `extents` holds 12 bytes each in memory and, in an object, only their number counts."""

    path: bytes
    type: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    ctime_ns: int
    size: int
    target: bytes
    hash: bytes
    link: int
    xattrs: tuple[tuple[bytes, bytes], ...]
    extents: bytes

    def stored(self) -> StoredEntry:
        """Return it as sources know entries."""
        return StoredEntry(
            self.path,
            _TYPES[self.type],
            self.mode,
            self.uid,
            self.gid,
            self.mtime_ns,
            self.target,
            self.link,
            self.xattrs,
            size=self.size,
            ctime_ns=self.ctime_ns,
        )


class _Subtree(msgspec.Struct, omit_defaults=True):
    vault: bytes
    entries: list[TreeEntry]
    counts: list[int]
    chunks: bytes
    extents: bytes
    again: bytes = b""


def type_number(kind: EntryType) -> int:
    """Return how an entry's type is written."""
    return _TYPES.index(kind)


def seal(
    keys: IndexKeys, entries: Sequence[TreeEntry], numbers: ChunkNumbers, again: bytes = b""
) -> tuple[bytes, str, bytes]:
    """Return id, name and bytes of a subtree.

    The id comes from the content, and the nonce from the compressed content, so that equal subtrees are one object
    and a nonce never serves two plaintexts. `again` makes it another object: the equal one is about to be swept.
    """
    every = extents.from_bytes(b"".join(entry.extents for entry in entries)).copy()
    counts = [len(entry.extents) // extents.ITEM_SIZE for entry in entries]
    table = _number_locally(every, numbers)
    bare = [msgspec.structs.replace(entry, extents=b"") for entry in entries]
    plain = frames.encode(_Subtree(keys.vault, bare, counts, table, every.tobytes(), again))
    tree_id = blake3(plain, key=keys.tree_ids).digest()[:16]
    packed = frames.compress(plain)
    nonce = blake3(packed, key=keys.tree_nonces).digest()[: sealing.NONCE_SIZE]
    bound_to = frames.context(ObjectKind.TREE, keys.vault, tree_id)
    data = frames.header(ObjectKind.TREE) + keys.tag + frames.seal(_key(keys, tree_id), bound_to, packed, nonce)
    return tree_id, names.name_of(names.spread(names.TREES, tree_id), tree_id, data), data


def open_subtree(keys: IndexKeys, name: str, data: bytes, numbers: ChunkNumbering) -> list[TreeEntry]:
    """Return a subtree's entries, with their extents in the caller's numbers.

    Raises:
        IntegrityError: It was altered or moved, or names something that no tree may name.
    """
    tree_id = names.check(name, data).id
    frames.check_header(ObjectKind.TREE, data, name)
    bound_to = frames.context(ObjectKind.TREE, keys.vault, tree_id)
    mine, body = keys.of(data[frames.HEADER_SIZE :], name)
    packed = frames.open_sealed(_key(mine, tree_id), bound_to, body, name)
    tree = frames.decode(frames.decompress(packed, name), _Subtree, name)
    if tree.vault != keys.vault or len(tree.counts) != len(tree.entries) or len(tree.extents) % extents.ITEM_SIZE:
        raise IntegrityError("A subtree holds something else", detail=name)
    every = extents.from_bytes(tree.extents).copy()
    _number_globally(every, tree.chunks, numbers, name)
    _hand_out(tree, every, name)
    return tree.entries


def check_paths(entries: Iterable[TreeEntry], name: str) -> None:
    """Make sure that every path stays inside the tree.

    Raises:
        IntegrityError: One is absolute, climbs out, or is no path.
    """
    for entry in entries:
        parts = entry.path.split(b"/")
        if b"\0" in entry.path or b"" in parts or b"." in parts or b".." in parts:
            raise IntegrityError("A point names a path outside its tree", detail=f"{entry.path!r} in {name}")


def _hand_out(tree: _Subtree, every: extents.Extents, name: str) -> None:
    bounds = [0, *np.cumsum(np.array(tree.counts, np.int64)).tolist()] if tree.counts else [0]
    if bounds[-1] != len(every) or min(tree.counts, default=0) < 0:
        raise IntegrityError("A subtree's extents are not those of its files", detail=name)
    data = every.tobytes()
    width = extents.ITEM_SIZE
    lengths = np.concatenate(([0], np.cumsum(every["length"].astype(np.int64)))).tolist()
    for entry, begin, end in zip(tree.entries, bounds, bounds[1:], strict=False):
        entry.extents = data[width * begin : width * end]
        if not 0 <= entry.type < len(_TYPES) or lengths[end] - lengths[begin] != entry.size:
            raise IntegrityError("A subtree's extents are not those of its files", detail=f"{entry.path!r} in {name}")


def _number_locally(every: extents.Extents, numbers: ChunkNumbers) -> bytes:
    """Replace a run's chunk numbers by places in a table, in order of first use; return the table."""
    used = every["chunk"] != extents.HOLE
    unique, first, inverse = np.unique(every["chunk"][used], return_index=True, return_inverse=True)
    ids = [numbers.id(number) for number in unique.tolist()]
    order = np.argsort(first)
    places: dict[bytes, int] = {}
    local = np.empty(unique.size, np.uint32)
    for at in order.tolist():  # two numbers may stand for one chunk, found equal only when hashed
        local[at] = places.setdefault(ids[at], len(places))
    every["chunk"][used] = local[inverse]
    return b"".join(places)


def _number_globally(every: extents.Extents, table: bytes, numbers: ChunkNumbering, name: str) -> None:
    used = every["chunk"] != extents.HOLE
    mine = np.array([numbers.number(table[at : at + 32]) for at in range(0, len(table), 32)], np.uint32)
    if len(table) % 32 or (used.any() and int(every["chunk"][used].max()) >= mine.size):
        raise IntegrityError("A subtree names a chunk that it does not list", detail=name)
    every["chunk"][used] = mine[every["chunk"][used]] if mine.size else 0


def _key(keys: IndexKeys, tree_id: bytes) -> bytes:
    return sealing.derive(keys.trees, "tree", tree_id)
