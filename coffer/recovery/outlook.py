"""Reads from the vault what a disaster now would cost; needs what a backup host has, and opens no content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from coffer.environments import Environment
from coffer.errors import CofferError
from coffer.recovery.access import VaultAddress, open_writer, recovery_of
from coffer.recovery.forecast import forecast, rates_of
from coffer.recovery.promises import Known, Limits, Outlook, judge
from coffer.recovery.trend import drills_of, passed
from coffer.sources.postgres.wal import SEGMENT_SIZE, Piece, Segment, is_segment, parse_lsn
from coffer.vault import names
from coffer.vault.capture import Fact
from coffer.vault.points import Point
from coffer.vault.stores import Store
from coffer.vault.writer import VaultWriter

POSTGRES = "postgres"


def look(environment: Environment, *, now: datetime | None = None, writer: VaultWriter | None = None) -> Outlook:
    """Return how the promises of an environment stand.

    Args:
        environment: Whose.
        now: The time; by default this host's.
        writer: The vault, where it is open already.

    Raises:
        UsageError: The environment protects nothing.
        CofferError: The vault cannot be read.
    """
    vault, service = writer or open_writer(environment), environment.service.name
    points, drills = vault.points(service), drills_of(vault.proofs(), service)
    good = passed(drills)
    limits = limits_of(environment)
    moment = now or datetime.now(UTC)
    drilled = good[-1].at if good else None
    failed = bool(drills) and not drills[-1].ok
    if not points:
        return judge(Known(moment, drilled=drilled, last_drill_failed=failed), None, limits)
    point = points[-1]
    since, written = 0, None
    if (facts := cluster_facts(points)) is not None:
        logged = vault.wal_names(str(facts["cluster"]))
        since = wal_since(facts, logged)
        written = _newest_written(VaultAddress.of(environment).open_stores(), str(facts["cluster"]), logged)
    known = Known(moment, point.name, point.started, point.size, written, since, drilled, failed)
    return judge(known, forecast(rates_of(good), point.size, since), limits)


def limits_of(environment: Environment) -> Limits:
    """Return what an environment promises.

    Raises:
        UsageError: It protects nothing.
    """
    recovery = recovery_of(environment)
    watch = recovery.watch
    within = watch.drill_within if environment.schedule.drill else None
    return Limits(recovery.rto, recovery.rpo, within, watch.margin)


def cluster_facts(points: Iterable[Point]) -> Mapping[str, Fact] | None:
    """Return what the newest point's database capture remembered, if it holds one with a log."""
    newest = list(points)[-1]
    held = next((source for source in newest.sources if source.kind == POSTGRES), None)
    return held.facts if held is not None and "cluster" in held.facts else None


def wal_since(facts: Mapping[str, Fact], logged: Iterable[str]) -> int:
    """Return the bytes of log from a point's start to the newest in the vault.

    Args:
        facts: What the capture of the database remembered.
        logged: Names of the cluster's log in the vault.
    """
    size = int(str(facts.get("segment_size") or SEGMENT_SIZE))
    start = parse_lsn(str(facts["start_lsn"]))
    return max(0, log_end(logged, size) - start)


def log_end(logged: Iterable[str], segment_size: int) -> int:
    """Return the position up to which the newest timeline's log is in the vault; 0 without any."""
    ends = [_end(name, segment_size) for name in logged]
    newest = max((timeline for timeline, _ in ends), default=0)
    return max((position for timeline, position in ends if timeline == newest), default=0)


def _end(name: str, size: int) -> tuple[int, int]:
    piece = Piece.parse(name)
    whole = piece.segment if piece else name
    if not is_segment(whole):
        return 0, 0
    segment = Segment.parse(whole, size)
    return segment.timeline, segment.start + piece.end if piece else segment.end


def _newest_written(stores: Iterable[Store], cluster: str, logged: Iterable[str]) -> datetime | None:
    """Return when the newest log came into the vault, in any store that answers."""
    segments = [name for name in logged if is_segment(name.partition(".")[0])]
    if not segments:
        return None
    # All of a segment's pieces, and the segment itself, begin with its name.
    newest = f"{names.WAL}/{cluster}/{max(segments).partition('.')[0]}"
    times: list[datetime] = []
    for store in stores:
        # A store that is away says nothing of age; that the log's names could be listed shows that another answers.
        with contextlib.suppress(CofferError):
            times += [info.modified for info in store.list(newest)]
    return max(times, default=None)
