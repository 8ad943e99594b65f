"""Collects the log into segments and puts them into an archive, in order, beside the stream that brings it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from coffer.errors import NotInEveryStore, OutsideSystemError
from coffer.sources.postgres.wal import Piece, Segment, format_lsn, is_segment
from coffer.sources.postgres.wal_archive import WalWriter, check_segment
from coffer.sources.postgres.wal_stream import WalData
from coffer.vault.capture import Fact

_IN_FLIGHT = 4

Log = Callable[[str], None]


class SegmentShipper:
    """Collects one segment after another and puts them into the archive, in order, beside the stream.

    Args:
        archive: Where it goes.
        cluster: Name of the cluster in the archive.
        system: Identifier that every segment must carry.
        log: Takes lines for people.
        facts: What is noted beside each file.
    """

    def __init__(
        self,
        archive: WalWriter,
        cluster: str,
        system: int,
        log: Log = lambda line: None,
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        self._archive, self._cluster, self._system, self._log = archive, cluster, system, log
        self._facts = dict(facts or {})
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wal")
        self._flights: deque[tuple[int, Future[None]]] = deque()
        self._segment = Segment(1, 0)
        self._buffer = bytearray()
        self._shipped = 0
        self.written = self.durable = 0

    def begin(self, segment: Segment, shipped: int = 0) -> None:
        """Start a segment of which the archive already has the first `shipped` bytes."""
        self.settle()
        self._segment, self._buffer, self._shipped = segment, bytearray(), shipped
        self.written = segment.start
        self.durable = max(self.durable, segment.start)

    def take(self, data: WalData) -> None:
        """Take bytes that follow those before.

        Raises:
            OutsideSystemError: They do not follow.
        """
        if data.position != self.written:
            raise OutsideSystemError(
                "PostgreSQL's log jumped", detail=f"from {format_lsn(self.written)} to {format_lsn(data.position)}"
            )
        rest = data.data
        while rest:
            part = rest[: self._segment.end - self.written]
            self._buffer += part
            self.written += len(part)
            rest = rest[len(part) :]
            if self.written == self._segment.end:
                self._ship(self._segment.name, self._buffer, self.written)
                self._segment, self._buffer, self._shipped = self._segment.next(), bytearray(), 0

    def ship_grown(self) -> None:
        """Ship what the unfinished segment has gained, unless the archive is still busy with earlier bytes."""
        if len(self._buffer) > self._shipped and not self._flights:
            piece = Piece(self._segment.name, self._shipped, len(self._buffer))
            self._ship(piece.name, bytes(self._buffer[piece.start :]), self.written)
            self._shipped = piece.end

    def poll(self) -> bool:
        """Take note of what became durable; tell whether anything did."""
        before = self.durable
        while self._flights and (self._flights[0][1].done() or len(self._flights) > _IN_FLIGHT):
            end, flight = self._flights.popleft()
            flight.result()
            self.durable = end
        return self.durable != before

    def settle(self) -> None:
        """Wait until everything shipped is durable."""
        while self._flights:
            end, flight = self._flights.popleft()
            flight.result()
            self.durable = end

    def close(self) -> None:
        """End the helper thread; what is under way is finished, what waits is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _ship(self, name: str, data: bytes | bytearray, end: int) -> None:
        if is_segment(name):
            check_segment(self._segment, data, self._system)
        self._flights.append((end, self._pool.submit(self._put, name, bytes(data))))

    def _put(self, name: str, data: bytes) -> None:
        try:
            self._archive.put_wal(self._cluster, name, data, facts=self._facts)
        except NotInEveryStore as error:
            # It is durable in a store. Holding back would let one silent region grow what a disaster loses.
            self._log(str(error))
