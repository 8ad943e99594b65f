"""One cut over all sources: the database first, a named place in its log, then everything that its rows may name.

Uploads, sessions and configuration that a row refers to are older than the row. Read after the database's named
place, they hold whatever a row at that place refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from coffer.sources.postgres.wal import format_lsn, parse_lsn
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.vault.capture import Fact, Source
from coffer.vault.point_builder import PointBuilder, SourceSummary

if TYPE_CHECKING:
    import psycopg

Report = Callable[[SourceSummary], None]
Say = Callable[[str], None]
_CONNECT_SECONDS = 10
_LONGEST_NAME = 63


@runtime_checkable
class LoggedSource(Protocol):
    """A database with a log that the vault keeps."""

    @property
    def conninfo(self) -> str:
        """How to reach it."""
        ...

    def prove_wal(self, archive: WalWriter, facts: Mapping[str, Fact], /) -> object:
        """Make sure that the log that a capture needs is in the vault."""
        ...


@runtime_checkable
class RequestedSource(Protocol):
    """A source that has something made elsewhere, once for each request."""

    def for_request(self, request: str, /) -> None:
        """Name the request that the next capture serves."""
        ...


@dataclass
class Cut:
    """What a cut left for the point to remember.

    Attributes:
        order: What was done, in order: names of sources, `restore_point`.
        facts: `restore_point`, `schema_version`, `order`.
    """

    order: list[Fact] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)


def take_cut(
    archive: WalWriter, builder: PointBuilder, sources: Sequence[Source], service: str, report: Report, say: Say
) -> dict[str, Fact]:
    """Capture every source into a point, and return what the point is to remember of the cut.

    Args:
        archive: The vault, where the log has to be.
        builder: The point in the making.
        sources: In the order of a cut; see `source_table.in_order`.
        service: Whose point it is; part of the restore point's name.
        report: Called as each source is done.
        say: Takes lines for people.

    Raises:
        StepFailed: Log is missing: the point must not be committed.
        CofferError: What a source met.
    """
    cut = Cut()
    named: list[tuple[LoggedSource, Mapping[str, Fact], str]] = []
    for source in sources:
        if isinstance(source, RequestedSource):
            source.for_request(builder.id)
        summary = builder.capture(source)
        report(summary)
        if builder.existing is not None:
            continue  # it was taken for this request before
        cut.order.append(source.name)
        if isinstance(source, LoggedSource):
            source.prove_wal(archive, summary.facts)
            say(f"{source.name}: every segment it needs is in the vault")
            if lsn := _name_a_place(source, service, cut, say):
                named.append((source, summary.facts, lsn))
    for database, facts, lsn in named:  # the receiver had all the time of the other captures for it
        _prove_place(archive, database, facts, lsn)
    return {**cut.facts, "order": cut.order}


def _name_a_place(source: LoggedSource, service: str, cut: Cut, say: Say) -> str | None:
    """Make a restore point and close its segment; return its place, or None where this role may not."""
    import psycopg  # here and below: a backup of files starts without it

    now = datetime.now(UTC)
    name = f"coffer-{service}-{now:%Y%m%dT%H%M%S.%fZ}"[:_LONGEST_NAME]
    try:
        with psycopg.connect(source.conninfo, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
            cut.facts.setdefault("schema_version", schema_version(connection))
            row = connection.execute("SELECT pg_create_restore_point(%s)::text", [name]).fetchone()
            connection.execute("SELECT pg_switch_wal()")
    except psycopg.Error as error:
        say(f"no restore point was made: {str(error).strip()}")
        return None
    lsn = str(row[0]) if row else ""
    cut.facts.setdefault("restore_point", {"name": name, "lsn": lsn, "at": now.isoformat()})
    cut.order.append("restore_point")
    return lsn


def _prove_place(archive: WalWriter, source: LoggedSource, facts: Mapping[str, Fact], lsn: str) -> None:
    from coffer.sources.postgres.wal_proof import prove_wal

    timeline, size, cluster = (facts.get(key) for key in ("stop_timeline", "segment_size", "cluster"))
    before = format_lsn(parse_lsn(lsn) - 1)  # the place is where the record ends: it may begin a segment
    needed: dict[str, Fact] = {"segment_size": size, "wal_ranges": [[timeline, before, lsn]]}
    prove_wal(archive, str(cluster), needed, conninfo=source.conninfo)


def schema_version(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    """Return the newest migration in dbmate's table; None where there is none, or it may not be read."""
    import psycopg

    try:
        found = connection.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL").fetchone()
        if not found or not found[0]:
            return None
        row = connection.execute("SELECT max(version) FROM public.schema_migrations").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return str(row[0]) if row and row[0] is not None else None
