"""Ships the log to a vault while it is written: whole segments, and every few seconds what has grown.

The server is told that bytes are flushed only when every store has them durably, so that its replication slot
keeps what a crash of this program, at any instant, would lose.
"""

from __future__ import annotations

import threading
import time

from coffer.errors import Unreachable
from coffer.sources.postgres.replication import Identity, ReplicationConnection, ServerSaid
from coffer.sources.postgres.segment_shipper import Log, SegmentShipper
from coffer.sources.postgres.wal import (
    Segment,
    covering,
    format_lsn,
    history_name,
    is_segment,
    parse_history,
    parse_lsn,
)
from coffer.sources.postgres.wal_archive import SegmentHeader, WalWriter
from coffer.sources.postgres.wal_audit import PeriodicAudit
from coffer.sources.postgres.wal_lineage import Lineage
from coffer.sources.postgres.wal_stream import Keepalive, NextTimeline, WalData, WalStream, identifier, timeline_history
from coffer.vault.capture import Fact

STATUS_SECONDS = 5.0
PIECE_SECONDS = 2.0
SILENCE_SECONDS = 30.0
"""A server that says nothing for so long, although it was asked, is gone: the network was cut, say."""
AUDIT_SECONDS = 600.0
_DUPLICATE = "42710"
_GONE = "58P01"
_TICK = 0.25


class WalReceiver:
    """Receives the log of one cluster until told to stop.

    Args:
        conninfo: How to reach the server; the role needs REPLICATION.
        archive: Where the log goes.
        slot: Physical replication slot; made when it does not exist.
        cluster: Name in the archive; default: the system identifier.
        log: Takes lines for people.
        piece_seconds: How often what has grown is shipped: what a disaster can lose.
        silence_seconds: How long the server may say nothing.
        audit_seconds: How often the whole log in the archive is looked over for gaps.
    """

    def __init__(
        self,
        conninfo: str,
        archive: WalWriter,
        *,
        slot: str,
        cluster: str = "",
        log: Log = lambda line: None,
        piece_seconds: float = PIECE_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        audit_seconds: float = AUDIT_SECONDS,
    ) -> None:
        self._conninfo, self._archive, self._slot = conninfo, archive, slot
        self._cluster, self._log, self._piece_seconds = cluster, log, piece_seconds
        self._silence, self._audit_seconds = silence_seconds, audit_seconds

    def run(self, stop: threading.Event) -> None:
        """Receive until `stop` is set, then ship what is there.

        Raises:
            Unreachable: The server or a store went away; start it again, nothing is lost.
        """
        with ReplicationConnection(self._conninfo) as connection:
            identity = connection.identify()
            cluster = self._cluster or str(identity.system)
            facts: dict[str, Fact] = {
                "system": str(identity.system), "version": connection.server_version // 10_000,
                "segment_size": identity.segment_size,
            }  # fmt: skip
            shipper = SegmentShipper(self._archive, cluster, identity.system, self._log, facts)
            try:
                self._receive(connection, identity, cluster, shipper, stop)
            finally:
                shipper.close()

    def _receive(
        self,
        connection: ReplicationConnection,
        identity: Identity,
        cluster: str,
        shipper: SegmentShipper,
        stop: threading.Event,
    ) -> None:
        slot_position = ensure_slot(connection, self._slot)
        version = connection.server_version // 10_000
        lineage = Lineage(self._archive, cluster, self._log)
        lineage.check(SegmentHeader.of_server(identity.system, version, identity.segment_size))
        names = set(lineage.names())
        at = resume_at(connection, identity, names, slot_position)
        audit = PeriodicAudit(
            self._archive, cluster, self._log, every=self._audit_seconds, segment_size=identity.segment_size
        )
        while not stop.is_set():
            self._keep_history(connection, cluster, at.timeline, names)
            pieces = covering(names, at.name)
            shipper.begin(at, pieces[-1].end if pieces else 0)
            try:
                stream = WalStream(connection, timeline=at.timeline, position=at.start, slot=self._slot)
            except ServerSaid as error:
                if error.sqlstate != _GONE or slot_position <= at.end:
                    raise
                self._log(f"WAL from {at.name} on is gone from the server; a new full point is needed")
                at = Segment.at(identity.timeline, slot_position, identity.segment_size)
                continue
            self._log(f"receiving {cluster} from {format_lsn(at.start)} on timeline {at.timeline}")
            following = self._follow(stream, shipper, stop, audit)
            if following:
                shipper.ship_grown()
                shipper.settle()
                at = Segment.at(following.timeline, following.position, identity.segment_size)

    def _follow(
        self, stream: WalStream, shipper: SegmentShipper, stop: threading.Event, audit: PeriodicAudit
    ) -> NextTimeline | None:
        next_piece = time.monotonic() + self._piece_seconds
        next_status, heard, asked_at = 0.0, time.monotonic(), 0.0
        while not stop.is_set():
            try:
                message, heard = stream.read(time.monotonic() + _TICK), time.monotonic()
            except TimeoutError:
                message = None
            if isinstance(message, NextTimeline):
                return message
            if isinstance(message, WalData):
                shipper.take(message)
            audit.tick()
            now = time.monotonic()
            if now >= next_piece:
                shipper.ship_grown()
                next_piece = now + self._piece_seconds
            asked = isinstance(message, Keepalive) and message.answer
            if now - heard > self._silence:
                raise Unreachable("PostgreSQL says nothing any more", detail=f"for {now - heard:.0f} s")
            # Asked early and again: a busy server answers late, a cut network never.
            silent = now - max(heard, asked_at) > self._silence / 3
            if shipper.poll() or asked or silent or now >= next_status:
                stream.report(written=shipper.written, durable=shipper.durable, answer=silent)
                next_status, asked_at = now + STATUS_SECONDS, now if silent else asked_at
        shipper.settle()
        shipper.ship_grown()
        shipper.settle()
        stream.report(written=shipper.written, durable=shipper.durable)
        return None

    def _keep_history(self, connection: ReplicationConnection, cluster: str, timeline: int, names: set[str]) -> None:
        name = history_name(timeline)
        if timeline > 1 and name not in names:
            self._archive.put_wal(cluster, name, timeline_history(connection, timeline))
            names.add(name)


def ensure_slot(connection: ReplicationConnection, slot: str) -> int:
    """Make a physical slot that keeps WAL from now on, unless it exists; return where it begins (0: unknown)."""
    row = connection.query(f"READ_REPLICATION_SLOT {identifier(slot)}")[0]
    if not row["slot_type"]:
        try:
            connection.query(f"CREATE_REPLICATION_SLOT {identifier(slot)} PHYSICAL (RESERVE_WAL true)")
        except ServerSaid as error:
            if error.sqlstate != _DUPLICATE:
                raise
        row = connection.query(f"READ_REPLICATION_SLOT {identifier(slot)}")[0]
    return parse_lsn(row["restart_lsn"]) if row["restart_lsn"] else 0


def resume_at(connection: ReplicationConnection, identity: Identity, names: set[str], slot_position: int) -> Segment:
    """Return the first segment that the archive does not have whole, on the timeline it belongs to.

    The archive's newest segment counts only if it lies in this server's past: what a timeline wrote after the
    server left it is another history.
    """
    size = identity.segment_size
    ends = {identity.timeline: identity.position}
    if identity.timeline > 1:
        forks = parse_history(timeline_history(connection, identity.timeline))
        ends.update({fork.timeline: fork.position for fork in forks})
    kept = [Segment.parse(name, size) for name in names if is_segment(name)]
    past = [segment for segment in kept if segment.end <= ends.get(segment.timeline, -1)]
    if past:
        return max(past).next()
    return Segment.at(identity.timeline, slot_position or identity.position, size)
