"""Taking a recovery point of a whole service: one cut over all its sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from coffer.environments import Environment
from coffer.recovery.access import open_sources, open_writer
from coffer.sources.postgres import PostgresSource
from coffer.vault.capture import Fact, Kind
from coffer.vault.points import Point


def take_point(
    environment: Environment,
    kind: str,
    *,
    facts: dict[str, Fact],
    request: str = "",
    report: Callable[[str], None] = lambda _line: None,
) -> Point:
    """Capture every source, prove its WAL, and commit.

    Args:
        environment: Whose service.
        kind: `full`, `incremental`, `differential`, or `auto` (incremental where an earlier point is, else full).
        facts: What the point remembers: the digests that run, who asked.
        request: Id of the request; the same one finds the point it already made.
        report: Called with a line as each source is done.

    Raises:
        NotInEveryStore: Committed, but a store was away.
        CofferError: Whatever stopped it; nothing was committed then.
    """
    writer = open_writer(environment)
    service = environment.service.name
    if request and (made := _made_by(writer.points(), service, request)):
        report(f"point {made.name} was already taken for this request")
        return made
    wanted = _kind(kind, writer.latest(service) is not None)
    sources = open_sources(environment)
    with writer.begin_point(service=service, kind=wanted, started=datetime.now(UTC)) as builder:
        for source in sources:
            summary = builder.capture(source)
            report(f"{source.name}: {summary}")
            if isinstance(source, PostgresSource):
                source.prove_wal(writer, summary.facts)
        order: list[Fact] = [source.name for source in sources]
        return builder.commit({**facts, "environment": environment.name, "order": order, "request": request})


def _kind(kind: str, has_parent: bool) -> Kind:
    if kind == "auto":
        return Kind.INCREMENTAL if has_parent else Kind.FULL
    return Kind(kind)


def _made_by(points: list[Point], service: str, request: str) -> Point | None:
    mine = [point for point in points if point.service == service and point.facts.get("request") == request]
    return mine[-1] if mine else None
