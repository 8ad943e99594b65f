"""Which tables a database had: what a recovery must bring back at least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from coffer.sources.postgres import PostgresSource
from coffer.vault.capture import Fact, Source
from coffer.vault.points import Point

FACT = "tables"
_MOST = 20_000
_NAMES = (
    "SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_t%%temp\\_%%'"
    " ORDER BY 1"
)


def table_facts(sources: Iterable[Source]) -> dict[str, Fact]:
    """Return the tables of each cluster's database, to be asked before the capture begins.

    A role that may only replicate, or a connection that names no database, gives none: the point is taken all the same.
    """
    found: dict[str, Fact] = {}
    for source in sources:
        if not isinstance(source, PostgresSource):
            continue
        with suppress(psycopg.Error):
            database = conninfo_to_dict(source.conninfo).get("dbname")
            if database is None:
                continue
            with psycopg.connect(source.conninfo, connect_timeout=10) as connection:
                names: list[Fact] = list(names_in(connection)[:_MOST])
            found[source.name] = {"database": str(database), "names": names}
    return {FACT: found} if found else {}


def names_in(connection: psycopg.Connection[Any]) -> list[str]:
    """Return `schema.table` of every table and materialised view of a database, sorted."""
    return [str(row[0]) for row in connection.execute(_NAMES.replace("%%", "%")).fetchall()]


def expected(points: Sequence[Point], point: Point, source: str, database: str) -> frozenset[str]:
    """Return the tables that a recovery from a point must bring back: those it had, and the next one had too.

    Between two points a migration may drop a table; only what both had was there at every moment between.
    """
    mine = _of(point, source, database)
    later = [each for each in points if each.counter > point.counter and _of(each, source, database)]
    return mine & _of(later[0], source, database) if later else mine


def _of(point: Point, source: str, database: str) -> frozenset[str]:
    kept = point.facts.get(FACT)
    held: Any = kept.get(source) if isinstance(kept, Mapping) else None
    if not isinstance(held, Mapping) or held.get("database") != database:
        return frozenset()
    return frozenset(map(str, held["names"]))
