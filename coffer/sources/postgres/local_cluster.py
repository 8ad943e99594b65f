"""A running PostgreSQL whose data folder can be read here, held in backup mode while that is done.

Source of the protocol: PostgreSQL's manual, "Making a Base Backup Using the Low Level API".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import google_crc32c
import psycopg

from coffer.errors import IntegrityError, NotAllowed, OutsideSystemError, Unreachable
from coffer.sources.postgres.data_folder import CONTROL_FILE, tablespaces
from coffer.sources.postgres.wal import parse_lsn
from coffer.vault.capture import PAGE_SIZE

_CONTROL_SIZE = 8192
_CHECKPOINT = struct.Struct("<Q")
_CHECKPOINT_AT = 32
_START_TOLERANCE = 10.0
"""Seconds between the start that postmaster.pid names and the one that the server tells."""
_ABOUT = """
SELECT current_setting('server_version_num')::int, (SELECT system_identifier FROM pg_control_system()),
       current_setting('data_directory'), extract(epoch FROM pg_postmaster_start_time())::float8,
       current_setting('block_size')::int, current_setting('segment_size'),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
       current_setting('data_checksums') = 'on',
       has_function_privilege('pg_backup_start(text, boolean)', 'EXECUTE')
           AND has_function_privilege('pg_backup_stop(boolean)', 'EXECUTE')
"""


class NotLocal(OutsideSystemError):
    """The data folder cannot be read from here; the replication protocol still may."""

    category = "not-local"


@dataclass(frozen=True)
class About:
    """What a cluster is.

    Attributes:
        version: 180006 is 18.6.
        system: Identifier of the cluster, made by initdb.
        data: The data folder.
        segment_size: Bytes of a WAL segment.
        checksums: Pages have checksums.
    """

    version: int
    system: int
    data: Path
    segment_size: int
    checksums: bool


@dataclass(frozen=True)
class Stopped:
    """What pg_backup_stop answers.

    Attributes:
        position: Where replay must come before the data is consistent.
        label: Content of backup_label.
        tablespace_map: Content of tablespace_map; empty where there is none.
    """

    position: int
    label: bytes
    tablespace_map: bytes


class LocalCluster:
    """One session on a server of this host. Leaving it ends a backup that was not stopped.

    Args:
        conninfo: libpq's connection string or URI.

    Raises:
        Unreachable: No server there, or it did not let us in.
        NotLocal: It is elsewhere, its folder is not ours to read, or the role may not start a backup.
    """

    def __init__(self, conninfo: str) -> None:
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                conninfo, autocommit=True, connect_timeout=10, fallback_application_name="coffer"
            )
        except psycopg.Error as error:
            raise Unreachable("PostgreSQL does not let us in", detail=str(error)) from error
        try:
            self.about = self._look()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def query(self, command: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a command and return its rows.

        Raises:
            NotAllowed: The role may not do that.
            OutsideSystemError: The server refused it.
            Unreachable: The connection broke.
        """
        try:
            cursor = self._connection.execute(command.encode(), values or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotAllowed("PostgreSQL does not allow this role to do that", detail=_text(error)) from error
        except psycopg.OperationalError as error:
            raise Unreachable("the connection to PostgreSQL broke", detail=_text(error)) from error
        except psycopg.Error as error:
            raise OutsideSystemError("PostgreSQL refused", detail=_text(error)) from error

    def copy(self, command: str) -> bytes:
        """Run a COPY … TO STDOUT and return all of it.

        Raises:
            OutsideSystemError: The server refused it.
        """
        try:
            with self._connection.cursor().copy(command.encode()) as copy:
                return b"".join(bytes(block) for block in copy)
        except psycopg.Error as error:
            raise OutsideSystemError("PostgreSQL refused", detail=_text(error)) from error

    def start(self, label: str) -> tuple[int, int]:
        """Begin a backup with a checkpoint at once.

        Returns:
            Position where replay must begin, and the timeline.

        Raises:
            IntegrityError: The data folder is not this server's.
        """
        for setting in ("statement_timeout", "lock_timeout", "idle_session_timeout"):
            self.query(f"SET {setting} = 0")
        [(start,)] = self.query("SELECT pg_backup_start(%s, true)::text", label)
        [(timeline, checkpoint)] = self.query("SELECT timeline_id, checkpoint_lsn::text FROM pg_control_checkpoint()")
        # The folder's own control file must have come as far as the server says: a copy of the folder would not.
        if _CHECKPOINT.unpack_from(self.control_file(), _CHECKPOINT_AT)[0] < parse_lsn(checkpoint):
            raise IntegrityError("the data folder is not that of the server", detail=str(self.about.data))
        return parse_lsn(start), timeline

    def stop(self) -> Stopped:
        """End the backup."""
        [(position, label, mapping)] = self.query("SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(false)")
        return Stopped(parse_lsn(position), label.encode(), (mapping or "").encode())

    def control_file(self) -> bytes:
        """Return the control file as it is at one moment.

        Raises:
            IntegrityError: It is damaged.
        """
        path = self.about.data / os.fsdecode(CONTROL_FILE)
        for _ in range(100):  # the server may be writing it
            content = path.read_bytes()
            if is_whole(content):
                return content
        raise IntegrityError("the control file is damaged", detail=str(path))

    def tablespaces(self) -> Mapping[str, str]:
        """Return the tablespaces that stand outside the data folder: OID and place."""
        found = tablespaces(os.fsencode(self.about.data))
        return {os.fsdecode(name): os.fsdecode(place) for name, place in found.items()}

    def _look(self) -> About:
        try:
            [row] = self.query(_ABOUT)
        except NotAllowed as error:
            raise NotLocal("the role may not see where the data folder is", detail=error.detail) from error
        version, system, data, started, page, segment, wal_segment, checksums, may_start = row
        folder = Path(data)
        if page != PAGE_SIZE or segment != "1GB":
            raise NotLocal("PostgreSQL was built with another page or segment size", detail=f"{page}, {segment}")
        if not may_start:
            raise NotLocal("the role may not call pg_backup_start and pg_backup_stop")
        try:
            _check_is_that(folder, system & 0xFFFFFFFFFFFFFFFF, started)
        except OSError as error:
            raise NotLocal("the data folder cannot be read from here", detail=str(error)) from error
        return About(version, system & 0xFFFFFFFFFFFFFFFF, folder, wal_segment, checksums)


def is_whole(control: bytes) -> bool:
    """Tell whether a control file is whole: where its CRC-32C stands, depends on the version."""
    if len(control) != _CONTROL_SIZE:
        return False
    return any(
        google_crc32c.value(control[:at]) == int.from_bytes(control[at : at + 4], "little") for at in range(200, 512, 4)
    )


def _check_is_that(folder: Path, system: int, started: float) -> None:
    """Make sure that a folder of that name here is the server's, not that of another host or of a copy."""
    control = (folder / os.fsdecode(CONTROL_FILE)).read_bytes()
    if int.from_bytes(control[:8], "little") != system:
        raise NotLocal("the data folder of that name here is another cluster's", detail=str(folder))
    lines = (folder / "postmaster.pid").read_text().splitlines()
    if len(lines) < 3 or abs(float(lines[2]) - started) > _START_TOLERANCE:
        raise NotLocal("the data folder of that name here belongs to another server", detail=str(folder))
    if not os.access(folder / "base", os.R_OK | os.X_OK):
        raise NotLocal("the data folder may not be read", detail=str(folder))


def _text(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
