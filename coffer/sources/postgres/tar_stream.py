"""Reads a tar archive as it arrives, in blocks with any boundaries, without a temporary file.

Covers what PostgreSQL sends (ustar, octal or base-256 numbers). The archive of a base backup needs no more.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coffer.errors import IntegrityError
from coffer.vault.capture import Buffer

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
CONTENT_BLOCK = 1024 * 1024
"""Content comes in blocks of at least this size, but for the last, whatever came in: small ones cost more."""


class ByteStream:
    """Takes blocks with any boundaries, gives exact amounts."""

    def __init__(self, blocks: Iterable[Buffer]) -> None:
        self._blocks = iter(blocks)
        self._current = memoryview(b"")

    def exactly(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            IntegrityError: The stream ends before.
        """
        data = b"".join(self.upto(size, whole=False))
        if len(data) != size:
            raise IntegrityError("the stream ends too early", detail=f"{len(data)} of {size} bytes")
        return data

    def upto(self, size: int, *, whole: bool = True) -> Iterator[Buffer]:
        """Yield the next `size` bytes, or fewer where the stream ends, gathered into `CONTENT_BLOCK`s.

        Args:
            size: How many.
            whole: Gather; else give the pieces as they came.
        """
        gathered = bytearray()
        while size > 0 and self._fill():
            piece = self._current[:size]
            self._current = self._current[len(piece) :]
            size -= len(piece)
            if not whole or (not gathered and len(piece) >= CONTENT_BLOCK):
                yield piece
                continue
            gathered += piece
            if len(gathered) >= CONTENT_BLOCK:
                yield gathered
                gathered = bytearray()
        if gathered:
            yield gathered

    def at_end(self) -> bool:
        """Tell whether nothing more comes."""
        return not self._fill()

    def _fill(self) -> bool:
        while not self._current:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._current = memoryview(block)
        return True


@dataclass(frozen=True)
class Member:
    """One header of the archive.

    Attributes:
        path: Its name.
        type: Type flag: `0` file, `5` directory, `2` symbolic link.
        size: Bytes of content.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        mtime: Modification time, seconds since the epoch.
        target: Where a symbolic link points.
    """

    path: bytes
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    target: bytes


def members(blocks: Iterable[Buffer]) -> Iterator[tuple[Member, Iterator[Buffer]]]:
    """Yield each member with its content.

    What is left of a content when the next member is asked for is passed over.

    Raises:
        IntegrityError: A header is damaged, or the archive ends in the middle of something.
    """
    stream = ByteStream(blocks)
    while not stream.at_end():
        header = stream.exactly(_BLOCK)
        if header == _ZEROS:
            _drain(stream)
            return
        member = parse_header(header)
        content = _content(stream, member)
        yield member, content
        for _ in content:
            pass
        stream.exactly(-member.size % _BLOCK)


def parse_header(header: bytes) -> Member:
    """Read one header.

    Raises:
        IntegrityError: Its checksum is wrong or a number cannot be read.
    """
    unsigned = sum(header) - sum(header[148:156]) + 8 * 0x20
    if unsigned != _number(header[148:156]):
        raise IntegrityError("a tar header is damaged", detail="checksum")
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else b""
    name = _text(header[:100])
    kind = chr(header[156]) if header[156] else "0"
    return Member(
        path=(prefix + b"/" + name if prefix else name).rstrip(b"/"),
        type=kind,
        size=_number(header[124:136]) if kind == "0" else 0,
        mode=stat.S_IMODE(_number(header[100:108])),
        uid=_number(header[108:116]),
        gid=_number(header[116:124]),
        mtime=_number(header[136:148]),
        target=_text(header[157:257]),
    )


def _content(stream: ByteStream, member: Member) -> Iterator[Buffer]:
    left = member.size
    for block in stream.upto(member.size):
        left -= len(block)
        yield block
    if left:
        raise IntegrityError("the archive ends in the middle of a file", detail=member.path.decode(errors="replace"))


def _drain(stream: ByteStream) -> None:
    while not stream.at_end():
        if any(stream.exactly(_BLOCK)):
            raise IntegrityError("an archive goes on after its end")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise IntegrityError("a tar header is damaged", detail="a number") from None


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]
