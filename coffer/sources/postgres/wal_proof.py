"""Before a point exists, the WAL that makes it consistent must be proven to be in the vault."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import psycopg

from coffer.errors import IntegrityError, OutsideSystemError, StepFailed
from coffer.sources.postgres.replication import ReplicationConnection
from coffer.sources.postgres.segment_shipper import SegmentShipper
from coffer.sources.postgres.wal import Segment, history_name, parse_lsn, segments_between
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.sources.postgres.wal_stream import NextTimeline, WalData, WalStream, timeline_history
from coffer.vault.capture import Fact

RECEIVER_GRACE = 10.0
"""Seconds that a running receiver is given before the backup brings the missing WAL itself."""
_POLL = 0.25
_ACTIVE_SLOT = "SELECT 1 FROM pg_replication_slots WHERE slot_type = 'physical' AND active"


def needed_segments(facts: Mapping[str, Fact]) -> list[Segment]:
    """Return the segments from a backup's start to its stop.

    Raises:
        IntegrityError: The facts are not a PostgreSQL backup's.
    """
    size, ranges = facts.get("segment_size"), facts.get("wal_ranges")
    if not isinstance(size, int) or not isinstance(ranges, list):
        raise IntegrityError("the point does not say which WAL it needs")
    return [segment for part in ranges for segment in _range(part, size)]


def needed_names(facts: Mapping[str, Fact]) -> list[str]:
    """Return the names that must be in the archive: segments, and the history of their timelines."""
    segments = needed_segments(facts)
    timelines = sorted({segment.timeline for segment in segments if segment.timeline > 1})
    return [history_name(timeline) for timeline in timelines] + [segment.name for segment in segments]


def prove_wal(
    archive: WalWriter,
    cluster: str,
    facts: Mapping[str, Fact],
    *,
    conninfo: str,
    grace: float = RECEIVER_GRACE,
    timeout: float = 120,
) -> list[str]:
    """Return the names of the WAL that a backup needs, all of them present in the archive.

    A running receiver is waited for; what it does not bring is streamed here.

    Args:
        archive: The vault.
        cluster: Name of the cluster in it.
        facts: What the backup left.
        conninfo: The server the backup was taken from.
        grace: Seconds to wait for a receiver, if one is connected.
        timeout: Seconds for the streaming.

    Raises:
        StepFailed: WAL is missing in the end: the point must not be committed.
    """
    names = needed_names(facts)
    deadline = time.monotonic() + (grace if receiver_may_run(conninfo) else 0)
    missing = _missing(archive, cluster, names)
    while missing and time.monotonic() < deadline:
        time.sleep(_POLL)
        missing = _missing(archive, cluster, names)
    if missing or not all(all(archive.has_wal(cluster, name).values()) for name in names):
        bring_wal(archive, cluster, facts, conninfo=conninfo, timeout=timeout)
        missing = _missing(archive, cluster, names)
    if missing:
        raise StepFailed("the point's WAL is not in the vault", detail=", ".join(missing[:5]))
    return names


def receiver_may_run(conninfo: str) -> bool:
    """Tell whether somebody reads the server's log through a slot; yes where that cannot be found out."""
    try:
        with psycopg.connect(conninfo, connect_timeout=10) as connection:
            return connection.execute(_ACTIVE_SLOT).fetchone() is not None
    except psycopg.Error:
        return True


def bring_wal(
    archive: WalWriter, cluster: str, facts: Mapping[str, Fact], *, conninfo: str, timeout: float = 120
) -> None:
    """Stream what a backup needs from the server into the archive.

    Raises:
        StepFailed: The server did not send all of it in time.
    """
    present = {name for name in needed_names(facts) if all(archive.has_wal(cluster, name).values())}
    deadline = time.monotonic() + timeout
    with ReplicationConnection(conninfo) as connection:
        identity = connection.identify()
        missing = [segment for segment in needed_segments(facts) if segment.name not in present]
        for timeline in sorted({segment.timeline for segment in needed_segments(facts)}):
            if timeline > 1 and history_name(timeline) not in present:
                archive.put_wal(cluster, history_name(timeline), timeline_history(connection, timeline))
        if not missing:
            return
        shipper = SegmentShipper(archive, cluster, identity.system)
        try:
            for run in _runs(missing):
                _stream(connection, shipper, run, deadline)
                shipper.settle()
        finally:
            shipper.close()


def _stream(connection: ReplicationConnection, shipper: SegmentShipper, run: list[Segment], deadline: float) -> None:
    first, last = run[0], run[-1]
    shipper.begin(first)
    stream = WalStream(connection, timeline=first.timeline, position=first.start)
    while shipper.written < last.end:
        try:
            message = stream.read(deadline)
        except TimeoutError:
            raise StepFailed("PostgreSQL did not send the point's WAL in time", detail=last.name) from None
        if isinstance(message, NextTimeline):
            raise OutsideSystemError("PostgreSQL left the timeline of the point", detail=str(first.timeline))
        if isinstance(message, WalData):
            shipper.take(message)
        shipper.poll()
    stream.close()


def _runs(segments: list[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    for segment in segments:
        if run and segment != run[-1].next():
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def _range(part: Fact, size: int) -> Iterator[Segment]:
    if not isinstance(part, list) or len(part) != 3:
        raise IntegrityError("the point does not say which WAL it needs")
    timeline, start, stop = part
    return segments_between(int(str(timeline)), parse_lsn(str(start)), parse_lsn(str(stop)), size)


def _missing(archive: WalWriter, cluster: str, names: list[str]) -> list[str]:
    present = set(archive.wal_names(cluster))
    return [name for name in names if name not in present or not any(archive.has_wal(cluster, name).values())]
