"""What a file system says of many names at once, as one hash; and where a run of names ends.

A tree is cut into subtrees where a path's checksum says so: a change moves no cut but those beside it. An earlier
point remembers the hash of each subtree's names; where it is the same, nobody needs to look at them one by one. It
needs nothing but Python's own library: the program that walks a folder uses it, too.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from typing import Any

CUT_ONE_IN = 512
"""A run ends after a path whose CRC-32 is a multiple of this."""
HASH_SIZE = 32
_LOOK = struct.Struct("<IIIIQqq")


def ends_run(path: bytes) -> bool:
    """Tell whether a run ends after a path."""
    return zlib.crc32(path) % CUT_ONE_IN == 0


def hash_of(looks: Iterable[tuple[Any, ...]]) -> bytes:
    """Return BLAKE2b-256 of names and what the file system says of them, or nothing where a time is beyond all clocks.

    Args:
        looks: For each name: path, mode with type bits, uid, gid, size (0 unless it is a file), mtime, ctime.
    """
    pack = _LOOK.pack
    try:
        parts = [pack(len(p), m, u, g, s, mt, ct) + p for p, m, u, g, s, mt, ct, *_ in looks]
    except struct.error:
        return b""
    return hashlib.blake2b(b"".join(parts), digest_size=HASH_SIZE).digest()
