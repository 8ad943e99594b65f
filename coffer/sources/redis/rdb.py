"""How an RDB begins and ends: enough to know whose it is, not what is in it.

The format: https://rdb.fnordig.de/file_format.html; Redis' own rdb.h is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.errors import IntegrityError

HEAD_SIZE = 4096
"""Enough bytes for the magic and the auxiliary fields that a server writes."""
TAIL_SIZE = 9
_MAGIC = b"REDIS"
_AUX = 0xFA
_END = 0xFF
_INTEGER_SIZES = {0: 1, 1: 2, 2: 4}


@dataclass(frozen=True)
class RdbHead:
    """What an RDB says of itself.

    Attributes:
        format: Version of the format.
        fields: Auxiliary fields: `redis-ver`, `ctime`, `repl-id`, `repl-offset` and others.
    """

    format: int
    fields: dict[str, str] = field(default_factory=dict)


def parse_head(data: bytes) -> RdbHead:
    """Read magic and auxiliary fields from the first bytes; a field that is cut off, and all behind it, is left out.

    Raises:
        IntegrityError: It is no RDB.
    """
    digits = data[len(_MAGIC) : 9]
    if not data.startswith(_MAGIC) or len(digits) != 4 or not digits.isdigit():
        raise IntegrityError("Redis sent something that is no RDB", detail=repr(data[:9]))
    fields: dict[str, str] = {}
    at = 9
    while at < len(data) and data[at] == _AUX:
        try:
            key, at = _text(data, at + 1)
            value, at = _text(data, at)
        except IndexError:
            break
        fields[key] = value
    return RdbHead(int(digits), fields)


def check_tail(data: bytes) -> None:
    """Make sure that an RDB is whole: its last nine bytes are the end mark and a checksum.

    Raises:
        IntegrityError: It is cut off.
    """
    if len(data) < TAIL_SIZE or data[-TAIL_SIZE] != _END:
        raise IntegrityError("The RDB that Redis sent is cut off", detail=f"it ends with {data[-TAIL_SIZE:].hex()}")


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Read a string: with its length before it, or an integer of one, two or four bytes."""
    first = data[at]
    kind = first >> 6
    if kind == 3:
        size = _INTEGER_SIZES.get(first & 0x3F)
        if size is None:
            raise IndexError(at)  # compressed: no server writes a field so
        number = _slice(data, at + 1, size)
        return str(int.from_bytes(number, "little", signed=True)), at + 1 + size
    if kind == 0:
        length, at = first & 0x3F, at + 1
    elif kind == 1:
        length, at = (first & 0x3F) << 8 | data[at + 1], at + 2
    else:
        length, at = int.from_bytes(_slice(data, at + 1, 4), "big"), at + 5
    return _slice(data, at, length).decode("utf-8", "replace"), at + length


def _slice(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise IndexError(at)
    return data[at : at + length]
