"""Taking a recovery point of a whole service: one cut over all its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from coffer.environments import Environment
from coffer.recovery import watch
from coffer.recovery.access import open_sources, open_writer
from coffer.recovery.cut import take_cut
from coffer.recovery.table_names import table_facts
from coffer.vault.capture import Fact, Kind
from coffer.vault.points import Point
from coffer.vault.writer import VaultWriter

Report = Callable[[str], None]


def take_point(
    environment: Environment,
    kind: str,
    *,
    facts: Mapping[str, Fact],
    request: str | None = None,
    report: Report = lambda _line: None,
) -> Point:
    """Capture every source in one cut, prove the log that it needs, commit, and tell who waits for it.

    Args:
        environment: Whose service.
        kind: `full`, `incremental`, `differential`, or `auto` (incremental where an earlier point is, else full).
        facts: What the point remembers: why it was taken, what ran then.
        request: Id of the request; the same one finds the point it already made.
        report: Called with a line as each source is done.

    Raises:
        DamagedAtSource: Committed and marked, for its source is damaged; the point is the error's `point`.
        NotInEveryStore: Committed, but a store was away; the point is the error's `point`.
        CofferError: Whatever stopped it; nothing was committed then.
    """
    writer, service = open_writer(environment), environment.service.name
    wanted = _kind(kind, writer, service)
    sources = open_sources(environment)
    tables = table_facts(sources)
    started = datetime.now(UTC)
    with writer.begin_point(service=service, kind=wanted, started=started, point_id_seed=request) as builder:
        if builder.existing is not None:
            report(f"point {builder.existing.name} was already taken for this request")
            return builder.commit({})
        cut = take_cut(
            writer,
            builder,
            sources,
            service,
            report=lambda done: report(
                f"{done.name}: {done.done}, {done.files} files, {done.size} bytes, {done.seconds:.1f} s"
            ),
            say=report,
        )
        point = builder.commit({**facts, "environment": environment.name, **tables, **cut})
    watch.point_taken(environment, report, writer=writer)
    return point


def _kind(kind: str, writer: VaultWriter, service: str) -> Kind:
    if kind == "auto":
        return Kind.INCREMENTAL if writer.latest(service) else Kind.FULL
    return Kind(kind)
