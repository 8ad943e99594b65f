"""A PostgreSQL database where only SQL is allowed (RDS, for one): one consistent moment, no log, no page maps."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from coffer.errors import NotAllowed, OutsideSystemError
from coffer.sources.postgres_dump.connection import Connection
from coffer.sources.postgres_dump.dumping import (
    GLOBALS,
    count_objects,
    dump_database,
    dump_globals,
    dump_programs,
)
from coffer.vault.capture import Entry, EntryType, Fact, Kind, Parent, SourceSink

_BLOCK = 1 << 20
_DAY = 86_400.0
_SPARE = 64 << 20


@dataclass(frozen=True)
class Moment:
    """What all connections of a dump see.

    Attributes:
        snapshot: Its name, by which pg_dump joins it.
        at: The server's time.
        lsn: Position in the server's log, or None where the role may not ask.
        version: The server's, as libpq tells it.
        database: Name.
        size: Bytes that the database takes on the server's disk, or None.
    """

    snapshot: str
    at: datetime
    lsn: str | None
    version: int
    database: str
    size: int | None


class PostgresDumpSource:
    """One database, dumped by pg_dump in parallel: what restores is a folder for `pg_restore --jobs`.

    Args:
        name: Name inside the point.
        conninfo: How to reach it; `jobs=N` may stand among libpq's options. Holds a password: never print it.
        jobs: How many connections dump at once.
        folder: Where the dump lies until it is in the vault; default: the usual place for temporary files.
        timeout: Seconds a dump may take.

    Raises:
        UsageError: That is no connection string.
    """

    kind = "postgres-dump"

    def __init__(
        self, name: str, conninfo: str, *, jobs: int = 2, folder: Path | None = None, timeout: float = _DAY
    ) -> None:
        self.name = name
        self._connection = Connection.parse(conninfo, jobs)
        self._folder = folder
        self._timeout = timeout

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Dump the database at one moment and push what was written; the vault finds again what it has of it.

        Raises:
            Unreachable: No server there.
            NotAllowed: The role may not read a table: a dump without it would lie.
            OutsideSystemError: The dump failed, or has no room.
        """
        with tempfile.TemporaryDirectory(prefix="coffer-dump-", dir=self._folder) as scratch:
            folder = Path(scratch) / "dump"
            with _one_moment(self._connection) as moment:
                _check_room(Path(scratch), moment.size)
                tools, major = dump_programs(moment.version)
                try:
                    dump_database(tools, self._connection, moment.snapshot, folder, timeout=self._timeout)
                except OutsideSystemError as error:
                    if "permission denied" not in error.detail:
                        raise
                    raise NotAllowed(
                        "The role may not read all of the database",
                        detail=error.detail,
                        resolution="GRANT pg_read_all_data TO it",
                    ) from error
            passwords, why = dump_globals(tools, self._connection, folder / GLOBALS)
            objects = count_objects(tools, folder)
            _push(sink, folder)
        notes: list[Fact] = [f"roles and tablespaces were not dumped: {why}"] if why else []
        return {
            "kind": (kind if parent is not None else Kind.FULL).value,
            "started": moment.at.isoformat(),
            "stopped": moment.at.isoformat(),
            "lsn": moment.lsn,
            "version": moment.version,
            "database": moment.database,
            "dumped_by": major,
            "objects": objects,
            "globals": "none" if why else "with passwords" if passwords else "without passwords",
            "notes": notes,
        }


@contextmanager
def _one_moment(connection: Connection) -> Iterator[Moment]:
    """Hold a snapshot open that other connections can join."""
    with connection.open() as held:
        try:
            held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = held.execute(
                "SELECT pg_export_snapshot(), now(), current_database(), pg_database_size(current_database())"
            ).fetchone()
            lsn = _log_position(held)
        except psycopg.Error as error:
            raise OutsideSystemError("PostgreSQL gives no snapshot", detail=str(error).strip()) from error
        if row is None or not isinstance(row[1], datetime):
            raise OutsideSystemError("PostgreSQL gives no snapshot")
        size = row[3] if isinstance(row[3], int) else None
        yield Moment(str(row[0]), row[1].astimezone(UTC), lsn, held.info.server_version, str(row[2]), size)


def _log_position(held: psycopg.Connection[tuple[object, ...]]) -> str | None:
    """Ask without harm to the transaction: some services deny the function."""
    try:
        with held.transaction():
            row = held.execute(
                "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"
            ).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return str(row[0]) if row and row[0] is not None else None


def _check_room(folder: Path, size: int | None) -> None:
    """A dump has no indexes and no dead rows, so it is hardly ever larger than the database; half of it is certain."""
    free = shutil.disk_usage(folder).free
    if size is not None and free < size // 2 + _SPARE:
        raise OutsideSystemError(
            "there is no room for the dump",
            detail=f"{folder.parent} has {free >> 20} MiB, the database {size >> 20} MiB",
            resolution="Set TMPDIR to a larger disk",
        )


def _push(sink: SourceSink, folder: Path) -> None:
    for path in sorted(folder.rglob("*"), key=lambda each: os.fsencode(each.relative_to(folder))):
        name, status = os.fsencode(path.relative_to(folder)), path.stat()
        mode = status.st_mode & 0o700
        if path.is_dir():
            sink.add(Entry(name, EntryType.DIRECTORY, mode=mode, mtime_ns=status.st_mtime_ns))
        else:
            sink.add_file(Entry(name, mode=mode, mtime_ns=status.st_mtime_ns), _blocks(path))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as opened:
        while block := opened.read(_BLOCK):
            yield block
