"""Reads a Redis into a point: all keys as they were at one moment, in one RDB."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis

from coffer.errors import NotAllowed, OutsideSystemError, Unreachable, UsageError
from coffer.sources.redis.rdb import HEAD_SIZE, TAIL_SIZE, RdbHead, check_tail, parse_head
from coffer.sources.redis.replication import FullResync, ReplicaStream, check_match, receiver
from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink

DUMP = b"dump.rdb"
_PATIENCE = 60.0
"""Seconds without a byte: a server that prepares a copy sends an empty line every second or so."""
_KEYSPACE = re.compile(r"db(\d+)")


class RedisSource:
    """A Redis, read as a replica reads it: nothing on its disk need be reachable, and nothing stays behind there.

    Args:
        name: Name inside the point.
        url: `redis://`, `rediss://` (the certificate is verified) or `unix://`, as redis-py reads it. Never printed.
        diskless: Let the server stream without a file on its disk; it then waits `repl-diskless-sync-delay` first.
        patience: Seconds without a byte after which the server counts as gone.
    """

    kind = "redis"

    def __init__(self, name: str, url: str, *, diskless: bool = False, patience: float = _PATIENCE) -> None:
        self.name = name
        self._url = url
        self._diskless = diskless
        self._patience = patience

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push the RDB; the vault finds again what it has of it.

        Raises:
            Unreachable: Redis is not there, or went away.
            NotAllowed: This user may not copy it.
            IntegrityError: What came is no whole RDB, or another server's.
        """
        with self._connected() as connection:
            server = _info(connection, "server")
            keyspace = _info(connection, "keyspace")
            stream, asked = self._ask(connection)
            reading = _Reading(stream.content())
            entry = Entry(DUMP, mode=0o640, mtime_ns=time.time_ns())
            sink.add_file(entry, reading.blocks())
        head = reading.head()
        check_match(asked, head.fields)
        check_tail(reading.tail)
        facts: dict[str, Fact] = {
            "kind": kind.value if parent else Kind.FULL.value,
            "version": str(server.get("redis_version", head.fields.get("redis-ver", ""))),
            "rdb_format": head.format,
            "replication_id": asked.replication_id if asked else head.fields.get("repl-id"),
            "offset": asked.offset if asked else None,
            "taken": int(head.fields["ctime"]) if head.fields.get("ctime", "").isdigit() else None,
            "keys": {**_counted(keyspace, "keys")},
            "expires": {**_counted(keyspace, "expires")},
            "size": reading.size,
        }
        return facts

    def _ask(self, connection: Any) -> tuple[ReplicaStream, FullResync | None]:  # noqa: ANN401 - redis-py has no types
        for capability in ("psync2", *(("eof",) if self._diskless else ())):
            connection.send_command("REPLCONF", "capa", capability)
            connection.read_response()
        stream = ReplicaStream(receiver(connection._sock))
        connection.send_command("PSYNC", "?", "-1")
        asked = stream.answer()
        if asked is None:
            connection.send_command("SYNC")
        return stream, asked

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            pool: Any = redis.ConnectionPool.from_url(
                self._url, protocol=2, socket_timeout=self._patience, socket_connect_timeout=10
            )
        except ValueError as error:
            raise UsageError("That is no address of a Redis", detail=str(error)) from error
        connection = pool.make_connection()
        try:
            connection.connect()
            yield connection
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise NotAllowed("Redis does not let this user in", detail=str(error)) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise Unreachable("Redis does not answer", detail=str(error)) from error
        except redis.RedisError as error:
            raise OutsideSystemError("Redis refuses", detail=str(error)) from error
        finally:
            connection.disconnect()


class _Reading:
    """An RDB on its way through; keeps its first and last bytes."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._head = b""
        self.tail = b""
        self.size = 0

    def blocks(self) -> Iterator[bytes]:
        for block in self._content:
            if len(self._head) < HEAD_SIZE:
                self._head += block[: HEAD_SIZE - len(self._head)]
            self.tail = (self.tail + block[-TAIL_SIZE:])[-TAIL_SIZE:]
            self.size += len(block)
            yield block

    def head(self) -> RdbHead:
        return parse_head(self._head)


def _info(connection: Any, section: str) -> dict[str, str]:  # noqa: ANN401 - redis-py has no types
    connection.send_command("INFO", section)
    try:
        answer = connection.read_response()
    except redis.exceptions.NoPermissionError:
        return {}  # the copy itself says most of it
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _counted(keyspace: Mapping[str, str], what: str) -> dict[str, int]:
    """Return how many keys each database held right before, or how many of them have an end.

    From lines such as `db0:keys=3,expires=1,avg_ttl=0`.
    """
    counted = {}
    for name, text in keyspace.items():
        values = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        if _KEYSPACE.fullmatch(name) and values.get(what, "").isdigit():
            counted[name] = int(values[what])
    return counted
