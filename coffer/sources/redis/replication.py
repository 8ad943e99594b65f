"""The beginning of Redis replication: a replica asks, the server sends all it has as one RDB.

Protocol: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/, and replication.c of Redis.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coffer.errors import IntegrityError, NotAllowed, OutsideSystemError, Unreachable

BLOCK = 1 << 20
_MARK_SIZE = 40
_LONGEST_LINE = 4096
Receive = Callable[[int], bytes]
"""Gives at most so many bytes, none at the end of the connection."""


@dataclass(frozen=True)
class FullResync:
    """Which data the server sends: that of a replication id at an offset."""

    replication_id: str
    offset: int


class ReplicaStream:
    """What comes back on a connection after PSYNC.

    Args:
        receive: Where bytes come from.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._rest = b""

    def answer(self) -> FullResync | None:
        """Read the answer to PSYNC; None if the server knows only SYNC.

        Raises:
            NotAllowed: The user may not.
            OutsideSystemError: The server refuses.
        """
        line = self._line()
        if line.startswith(b"-"):
            return self._refused(line[1:].decode("utf-8", "replace"))
        words = line.split()
        if len(words) != 3 or words[0] != b"+FULLRESYNC" or not words[2].isdigit():
            raise OutsideSystemError("Redis does not begin a full copy", detail=repr(line[:100]))
        return FullResync(words[1].decode("utf-8", "replace"), int(words[2]))

    def content(self) -> Iterator[bytes]:
        """Yield the RDB: its length is told before it, or a mark of 40 bytes ends it.

        Raises:
            OutsideSystemError: Something else came.
            Unreachable: The connection ended before it did.
        """
        line = self._line()
        if line.startswith(b"-"):
            self._refused(line[1:].decode("utf-8", "replace"))
        if line.startswith(b"$EOF:") and len(line) == 5 + _MARK_SIZE:
            yield from self._until(line[5:])
        elif line[:1] == b"$" and line[1:].isdigit():
            yield from self._exactly(int(line[1:]))
        else:
            raise OutsideSystemError("Redis sent something that is no copy", detail=repr(line[:100]))

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            block = self._more(min(length, BLOCK))
            length -= len(block)
            yield block

    def _until(self, mark: bytes) -> Iterator[bytes]:
        """Yield all before the mark, which is what the stream ends with: nothing follows it before we answer."""
        held = b""
        while not held.endswith(mark):
            held += self._more(BLOCK)
            if len(held) > BLOCK:
                yield held[:-_MARK_SIZE]
                held = held[-_MARK_SIZE:]
        if len(held) > _MARK_SIZE:
            yield held[:-_MARK_SIZE]

    def _line(self) -> bytes:
        """Read a line; empty ones keep the connection alive while the server prepares its data."""
        line = b""
        while not line:
            while b"\n" not in self._rest:
                if len(self._rest) > _LONGEST_LINE:
                    raise OutsideSystemError("Redis sent a line without end", detail=repr(self._rest[:100]))
                self._rest += self._receive_some(BLOCK)
            line, _, self._rest = self._rest.partition(b"\n")
            line = line.rstrip(b"\r")
        return line

    def _more(self, most: int) -> bytes:
        if self._rest:
            block, self._rest = self._rest[:most], self._rest[most:]
            return block
        return self._receive_some(most)

    def _receive_some(self, most: int) -> bytes:
        try:
            data = self._receive(most)
        except TimeoutError as error:
            raise Unreachable("Redis stopped sending", detail=str(error)) from error
        except OSError as error:
            raise Unreachable("The connection to Redis broke", detail=str(error)) from error
        if not data:
            raise Unreachable("Redis closed the connection before all had come")
        return data

    @staticmethod
    def _refused(said: str) -> None:
        word = said.partition(" ")[0]
        if word in ("NOPERM", "NOAUTH", "WRONGPASS"):
            raise NotAllowed(
                "Redis does not let this user copy it",
                detail=said,
                resolution="ACL SETUSER … +psync +sync +replconf +ping +info",
            )
        if word == "ERR" and "unknown command" in said:
            return
        raise OutsideSystemError("Redis refuses to be copied", detail=said)


def receiver(connection: socket.socket) -> Receive:
    """Return what reads a socket."""
    return connection.recv


def check_match(asked: FullResync | None, fields: dict[str, str]) -> None:
    """Make sure that the RDB is the one that was promised, where it says which one it is.

    Raises:
        IntegrityError: It is of another replication id.
    """
    said = fields.get("repl-id")
    if asked is not None and said and said != asked.replication_id:
        raise IntegrityError("Redis sent another server's data", detail=f"{said} instead of {asked.replication_id}")
