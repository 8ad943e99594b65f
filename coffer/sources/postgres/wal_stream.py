"""START_REPLICATION of the replication protocol: WAL as it is written, across timelines.

Source of the protocol: PostgreSQL's manual, "Streaming Replication Protocol".
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from psycopg import pq

from coffer.errors import OutsideSystemError
from coffer.sources.postgres.replication import ReplicationConnection
from coffer.sources.postgres.wal import format_lsn, parse_lsn

_WAL = struct.Struct(">cQQQ")
_KEEPALIVE = struct.Struct(">cQQB")
_STATUS = struct.Struct(">cQQQQB")
_EPOCH_2000 = 946_684_800


@dataclass(frozen=True)
class WalData:
    """Bytes of the log.

    Attributes:
        position: Of the first byte.
        data: The bytes.
    """

    position: int
    data: memoryview


@dataclass(frozen=True)
class Keepalive:
    """A sign of life.

    Attributes:
        end: End of the log on the server.
        answer: A status is wanted now.
    """

    end: int
    answer: bool


@dataclass(frozen=True)
class NextTimeline:
    """The server left this timeline.

    Attributes:
        timeline: The one to go on with.
        position: Where it begins.
    """

    timeline: int
    position: int


class WalStream:
    """One running START_REPLICATION.

    Args:
        connection: A connection with nothing else going on.
        timeline: Timeline to read.
        position: Where to begin; a segment's first byte.
        slot: Physical replication slot, so that the server keeps what we do not have.

    Raises:
        ServerSaid: The server refuses, for instance because that WAL is gone.
    """

    def __init__(
        self, connection: ReplicationConnection, *, timeline: int, position: int, slot: str | None = None
    ) -> None:
        self._connection = connection
        part = f"SLOT {identifier(slot)} " if slot else ""
        connection.send(f"START_REPLICATION {part}PHYSICAL {format_lsn(position)} TIMELINE {timeline}")
        self._next: NextTimeline | None = None
        result = connection.result()
        self._copying = result is not None and result.status == pq.ExecStatus.COPY_BOTH
        if result is not None and result.ntuples:  # the timeline ends where we want to begin
            self._next = _next_timeline(result.get_value(0, 0), result.get_value(0, 1))

    def read(self, deadline: float) -> WalData | Keepalive | NextTimeline:
        """Return what comes next.

        Raises:
            TimeoutError: Nothing came until the deadline (`time.monotonic()`).
            Unreachable: The connection broke.
        """
        if not self._copying:
            return self._ended()
        message = self._connection.read(deadline)
        if message is None:
            self._copying = False
            self._connection.end_copy()
            return self._ended()
        if message[0] == ord("w"):
            _, position, _, _ = _WAL.unpack_from(message)
            return WalData(position, message[_WAL.size :])
        if message[0] == ord("k"):
            _, end, _, answer = _KEEPALIVE.unpack_from(message)
            return Keepalive(end, bool(answer))
        raise OutsideSystemError("PostgreSQL sent an unknown message in its log", detail=repr(bytes(message[:1])))

    def report(self, *, written: int, durable: int, answer: bool = False) -> None:
        """Tell the server what arrived and what can no longer be lost; with `answer`, ask for a sign of life."""
        clock = int((time.time() - _EPOCH_2000) * 1_000_000)
        self._connection.write(_STATUS.pack(b"r", written, durable, durable, clock, answer))

    def close(self) -> None:
        """End the stream; the connection is free for something else afterwards."""
        if not self._copying:
            return
        self._copying = False
        self._connection.end_copy()
        while self._connection.read() is not None:
            pass
        while self._connection.result() is not None:
            pass

    def _ended(self) -> NextTimeline:
        while self._next is None:
            result = self._connection.result()
            if result is None:
                raise OutsideSystemError("PostgreSQL ended its log", detail="it is shutting down")
            if result.ntuples:
                self._next = _next_timeline(result.get_value(0, 0), result.get_value(0, 1))
        while self._connection.result() is not None:
            pass
        return self._next


def identifier(name: str) -> str:
    """Quote a name for a replication command."""
    return '"' + name.replace('"', '""') + '"'


def timeline_history(connection: ReplicationConnection, timeline: int) -> bytes:
    """Read a timeline's history file from the server."""
    return connection.query(f"TIMELINE_HISTORY {timeline}")[0]["content"].encode()


def _next_timeline(timeline: bytes | None, position: bytes | None) -> NextTimeline:
    return NextTimeline(int(timeline or b"0"), parse_lsn((position or b"").decode()))
