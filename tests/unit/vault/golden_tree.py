"""What the golden vault holds: three points of a tree that has one of everything the format knows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from coffer.vault.capture import Entry, EntryType, Fact, Hole, Kind, Parent, SourceSink, Split

PASSPHRASE = "the golden vault's own words"
WAL = b"log" * 1000
SHIPPED = {b"shipped": b"between two points\n" * 1000, b"later": b""}
OWN_SIZE = 8 << 20
"""Where the hole of the file `sparse` ends."""


def noise(size: int, seed: str) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def words(size: int) -> bytes:
    """Text in which cuts by content are found, and that compresses well: the vault must stay small."""
    luck = random.Random(1)
    vocabulary = [noise(120, f"word {number}").hex().encode() for number in range(4)]
    return b"".join(luck.choices(vocabulary, k=size // 240))


RELATION = noise(5 * 8192, "relation")
CHANGED = RELATION[:8192] + noise(8192, "page 1") + RELATION[16384:24576] + noise(8192, "page 3") + RELATION[32768:]
LARGE = words(3 << 20)
SPARSE = bytes(OWN_SIZE) + b"end"
FIRST: dict[bytes, bytes] = {
    b"dir/one": b"one file of two names",
    b"dir/text": b"the same line\n" * 500,
    b"empty": b"",
    b"large": LARGE,
    b"odd\xff\nname": b"odd",
    b"relation": RELATION,
    b"sparse": SPARSE,
    b"two": b"one file of two names",
    b"x" * 255: b"a long name",
}
SECOND = {**FIRST, b"relation": CHANGED, b"large": b"inserted in front" + LARGE, b"new": b"new"}
THIRD = {**SECOND, b"later": b"written with another index key, by another writer"}
SYMLINKS = {b"link": b"dir/text", b"out": b"/etc/passwd"}
XATTRS = ((b"user.a", b""), (b"user.b", b"\0\xff"))
HARD_LINKS = (b"dir/one", b"two")


@dataclass
class GoldenTree:
    """A source that hands over one of these trees."""

    files: Mapping[bytes, bytes]
    same: frozenset[bytes] = frozenset()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    name: str = "files"
    kind: str = "files"

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        sink.add(Entry(b"dir", EntryType.DIRECTORY, 0o751, xattrs=XATTRS))
        for path, target in SYMLINKS.items():
            sink.add(Entry(path, EntryType.SYMLINK, 0o777, target=target))
        for path, content in sorted(self.files.items()):
            link = 7 if path in HARD_LINKS else 0
            entry = Entry(path, mode=0o640, mtime_ns=1_700_000_000_123_456_789, link=link, xattrs=_xattrs(path))
            if path in self.same and parent is not None:
                sink.add_unchanged(entry)
            elif path == b"relation" and parent is not None:
                pages = [content[at : at + 8192] for at in (8192, 3 * 8192)]
                sink.add_pages(entry, len(content), np.array([1, 3], np.uint32), pages)
            elif path == b"sparse":
                sink.add_file(entry, [Hole(OWN_SIZE), content[OWN_SIZE:]])
            else:
                split = Split.FIXED if path == b"relation" else Split.CONTENT
                sink.add_file(entry, [content] if content else [], split=split)
        return self.facts


def _xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return XATTRS if path in HARD_LINKS else ()
