"""One table out of a point: the cluster is brought to its moment in a scratch folder, and the table dumped from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from coffer.errors import NotThere, UnsafeTarget, UsageError
from coffer.processes import run
from coffer.recovery.restore import restore_postgres
from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.programs import Programs, own, run_as
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader

_DUMP_SECONDS = 24 * 3600
_NOT_DUMPED = """
SELECT 'sequence ' || refobjid::regclass::text FROM pg_depend d JOIN pg_attrdef a ON d.objid = a.oid
  JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
 WHERE d.classid = 'pg_attrdef'::regclass AND a.adrelid = %(table)s::regclass
   AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.objid = c.oid AND o.deptype IN ('a', 'i') AND o.refobjid = a.adrelid)
UNION SELECT 'table ' || confrelid::regclass::text || ', which its foreign key ' || conname || ' refers to'
  FROM pg_constraint WHERE contype = 'f' AND conrelid = %(table)s::regclass AND confrelid <> conrelid
UNION SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass::text || ', which refers to it'
  FROM pg_constraint WHERE contype = 'f' AND confrelid = %(table)s::regclass AND confrelid <> conrelid
ORDER BY 1
"""


@dataclass(frozen=True)
class RestoredTable:
    """What was brought back.

    Attributes:
        dump: The file, in pg_dump's custom format: for `pg_restore`.
        database: Where the table was.
        rows: Rows that it holds.
        beside: What it has to do with and is not in the file: sequences of others, foreign keys.
    """

    dump: Path
    database: str
    rows: int
    beside: tuple[str, ...]


def restore_table(
    reader: VaultReader,
    point: Point,
    target: RestoreTarget,
    table: str,
    destination: Path,
    *,
    source: str = "postgres",
    database: str | None = None,
    scratch: Path | None = None,
    installation: Programs | None = None,
    replay_timeout: float = 4 * 3600,
    progress: Progress | None = None,
) -> RestoredTable:
    """Bring one table back as it was at a moment, as a file for `pg_restore`.

    Args:
        reader: The vault.
        point: Where to begin.
        target: The moment.
        table: `SCHEMA.TABLE`.
        destination: Folder for the file; it is made if it does not exist.
        source: Name of the cluster inside the point.
        database: Where the table is. Default: the only database that has it.
        scratch: Folder for the cluster meanwhile, as large as it. Default: the system's temporary one.
        installation: PostgreSQL's programs, of the cluster's version. Default: the wheel's.
        replay_timeout: Seconds.
        progress: Called with bytes done and bytes in all, while the cluster is restored.

    Raises:
        NotThere: No database has the table at that moment.
        UsageError: Several have it; or the name is none.
        UnsafeTarget: The file is there already.
    """
    schema, name = parse_table(table)
    dump = destination / f"{table}.dump"
    if dump.exists():
        raise UnsafeTarget("The file is there already", detail=str(dump))
    destination.mkdir(parents=True, exist_ok=True)
    facts = reader.facts(point, source)
    fetcher = WalFetcher(
        reader, str(facts["cluster"]), system=str(facts["system_identifier"]),
        segment_size=int(str(facts["segment_size"])),
    )  # fmt: skip
    with Scratch(scratch, installation) as place:
        with WalServer(fetcher, place.folder / "wal", place.user) as wal:
            restore_postgres(
                reader, point, place.data, target, restore_command=wal.restore_command, source=source,
                user=place.user, tablespaces=place.folder / "tablespaces", progress=progress,
            )  # fmt: skip
            place.replay(wal, timeout=replay_timeout)
        found = _find(place, schema, name, database)
        made = place.folder / "table.dump"
        _dump(place, found, schema, name, made)
        rows, beside = _look(place, found, schema, name)
        _hand_over(made, dump)
    return RestoredTable(dump, found, rows, beside)


def parse_table(table: str) -> tuple[str, str]:
    """Return schema and name of `SCHEMA.TABLE`.

    Raises:
        UsageError: It is no such thing.
    """
    schema, dot, name = table.partition(".")
    if not (schema and dot and name) or "/" in table or "\0" in table:
        raise UsageError(f"'{table}' names no table", resolution="Write SCHEMA.TABLE, such as public.orders")
    return schema, name


def _find(place: Scratch, schema: str, name: str, database: str | None) -> str:
    query = (
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'm')"
    )
    having = []
    for each in [database] if database else _databases(place):
        with place.server.connect(each) as connection:
            if connection.execute(query, [schema, name]).rowcount:
                having.append(each)
    if not having:
        raise NotThere("There was no such table at that moment", detail=f"{schema}.{name}")
    if len(having) > 1:
        raise UsageError(
            "Several databases have that table", detail=", ".join(having), resolution="Name one with --database"
        )
    return having[0]


def _databases(place: Scratch) -> Sequence[str]:
    with place.server.connect() as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows if row[0] != "template1"]


def _dump(place: Scratch, database: str, schema: str, name: str, made: Path) -> None:
    pattern = ".".join('"' + each.replace('"', '""') + '"' for each in (schema, name))
    made.touch(0o600)
    own(made, place.user)
    server = place.server
    run(
        [server.programs.path("pg_dump"), "--format=custom", "--table", pattern, "--file", made,
         "--host", place.sockets, "--port", str(place.port), "--username", server.superuser, "--dbname", database],
        timeout=_DUMP_SECONDS, environment=place.server.environment(), user=run_as(place.user), directory=place.folder,
    )  # fmt: skip


def _look(place: Scratch, database: str, schema: str, name: str) -> tuple[int, tuple[str, ...]]:
    table = sql.Identifier(schema, name)
    with place.server.connect(database) as connection:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
        beside = connection.execute(_NOT_DUMPED, {"table": table.as_string(connection)}).fetchall()
    return int(row[0]) if row else 0, tuple(str(each[0]) for each in beside)


def _hand_over(made: Path, dump: Path) -> None:
    """Give the file to whoever restores, whole or not at all."""
    partial = dump.with_name(f".{dump.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with made.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, 4 << 20)
        target.flush()
        os.fsync(target.fileno())
    partial.rename(dump)
