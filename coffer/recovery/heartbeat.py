"""A row written to production every few seconds: the newest one that a recovery brings back is the true RPO."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from coffer.errors import NotThere, Unreachable, UsageError


@dataclass(frozen=True)
class Heartbeat:
    """One beat.

    Attributes:
        at: When, by the database's clock.
        lsn: End of the log right after it was committed.
    """

    at: datetime
    lsn: str


def beat(conninfo: str) -> Heartbeat:
    """Write a heartbeat and return it once it is committed.

    Raises:
        Unreachable: The database is not there.
        UsageError: It has no table `heartbeat(at)`.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
            row = connection.execute("INSERT INTO heartbeat (at) VALUES (clock_timestamp()) RETURNING at").fetchone()
            lsn = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise UsageError("the database has no heartbeat table", resolution="Run the service's migrations") from error
    except psycopg.OperationalError as error:
        raise Unreachable("the database does not answer", detail=str(error)) from error
    if row is None or lsn is None:
        raise Unreachable("the heartbeat was not written")
    return Heartbeat(row[0], str(lsn[0]))


def newest(connection: psycopg.Connection[Any]) -> datetime:
    """Return the newest heartbeat of a database.

    Raises:
        NotThere: There is none: what was lost cannot be said.
    """
    try:
        row = connection.execute("SELECT max(at) FROM heartbeat").fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise NotThere("the recovered database has no heartbeat table", detail=str(error).strip()) from error
    if row is None or row[0] is None:
        raise NotThere("the recovered database has no heartbeat", resolution="Write one every few seconds")
    at: datetime = row[0]
    return at
