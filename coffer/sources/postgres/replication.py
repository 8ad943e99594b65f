"""A connection that speaks PostgreSQL's replication protocol, over libpq.

Source of the protocol: PostgreSQL's manual, "Streaming Replication Protocol".
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from coffer.errors import NotAllowed, OutsideSystemError, Unreachable, UsageError
from coffer.sources.postgres.capture_choice import split_capture
from coffer.sources.postgres.wal import parse_lsn

_Result = pq.abc.PGresult
_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_COPY = (pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_BOTH)
_AUTHORISATION = ("28", "42501")


class ServerSaid(OutsideSystemError):
    """PostgreSQL refused a command.

    Attributes:
        sqlstate: Its error code.
    """

    sqlstate = ""


class ReplicationConnection:
    """One walsender of a server.

    Args:
        conninfo: libpq's connection string or URI; `replication=true` is added.

    Raises:
        Unreachable: No server there, or it did not let us in.
    """

    def __init__(self, conninfo: str) -> None:
        try:
            options = conninfo_to_dict(split_capture(conninfo)[0])
        except ProgrammingError:
            # libpq quotes the string in its message, password and all.
            raise UsageError("the PostgreSQL connection string cannot be read") from None
        options.setdefault("connect_timeout", "10")
        options.setdefault("fallback_application_name", "coffer")
        # A network that was cut says nothing: without these a connection waits for hours.
        options = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
                   "tcp_user_timeout": "30000", **options}  # fmt: skip
        options["replication"] = "true"
        self._connection = pq.PGconn.connect(make_conninfo("", **options).encode())
        self.notices: list[str] = []
        if self._connection.status != pq.ConnStatus.OK:
            message = self._connection.get_error_message()
            self._connection.finish()
            raise Unreachable("PostgreSQL does not let us in", detail=message)
        self._connection.notice_handler = self._notice
        self._connection.nonblocking = 1

    @property
    def server_version(self) -> int:
        """Version as a number: 180006 is 18.6."""
        return self._connection.server_version

    def __enter__(self) -> ReplicationConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a running COPY ends on the server."""
        self._connection.finish()

    # -- commands -----------------------------------------------------------------------------------------------

    def query(self, command: str) -> list[dict[str, str]]:
        """Run a command and return its rows.

        Raises:
            ServerSaid: The server refused it.
        """
        self.send(command)
        rows: list[dict[str, str]] = []
        while (result := self.result()) is not None:
            rows += _rows(result)
        return rows

    def identify(self) -> Identity:
        """Return who the server is and where its log stands."""
        row = self.query("IDENTIFY_SYSTEM")[0]
        size = self.query("SHOW wal_segment_size")[0]["wal_segment_size"]
        return Identity(int(row["systemid"]), int(row["timeline"]), parse_lsn(row["xlogpos"]), _bytes(size))

    def send(self, command: str) -> None:
        """Send a command; `result` brings what comes back."""
        self._connection.send_query(command.encode())
        self._flush()

    def result(self) -> _Result | None:
        """Wait for the next result, None after the last.

        Raises:
            ServerSaid: The server answered with an error.
            Unreachable: The connection broke.
        """
        result = self._next_result()
        if result is not None and result.status not in (*_OK, *_COPY):
            refusal = self._refusal(result)
            with contextlib.suppress(Unreachable):  # after a FATAL the rest is a closed connection
                while self._next_result() is not None:
                    pass
            raise refusal
        return result

    def _next_result(self) -> _Result | None:
        while self._connection.is_busy():
            self.wait(None)
        return self._connection.get_result()

    def rows(self) -> list[dict[str, str]]:
        """Wait for the next result and return its rows."""
        result = self.result()
        return [] if result is None else _rows(result)

    def expect_copy(self) -> None:
        """Wait for the beginning of a COPY.

        Raises:
            OutsideSystemError: Something else came.
        """
        result = self.result()
        if result is None or result.status not in _COPY:
            raise OutsideSystemError("PostgreSQL sent no COPY", detail="the server speaks another protocol version")

    # -- COPY ---------------------------------------------------------------------------------------------------

    def read(self, deadline: float | None = None) -> memoryview | None:
        """Return the next COPY message; None at the end of the COPY.

        Args:
            deadline: Value of `time.monotonic()` at which to give up waiting.

        Raises:
            TimeoutError: Nothing came until the deadline.
            Unreachable: The connection broke.
        """
        while True:
            count, data = self._connection.get_copy_data(1)
            if count > 0:
                return data
            if count == -1:
                return None
            if count == -2:
                raise Unreachable("PostgreSQL's stream broke", detail=self._connection.get_error_message())
            if not self.wait(deadline):
                raise TimeoutError

    def messages(self) -> Iterator[memoryview]:
        """Yield COPY messages to the end."""
        while (message := self.read()) is not None:
            yield message

    def write(self, data: bytes) -> None:
        """Send a COPY message."""
        self._connection.put_copy_data(data)
        self._flush()

    def end_copy(self) -> None:
        """Tell the server that our side of the COPY is over."""
        self._connection.put_copy_end()
        self._flush()

    def fileno(self) -> int:
        """Return the socket, for `select`."""
        return self._connection.socket

    def wait(self, deadline: float | None) -> bool:
        """Wait for bytes and take them in; False when the deadline came first."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self.fileno()], [], [], left)
        if ready:
            self._consume(self._connection.consume_input)
        return bool(ready)

    def _flush(self) -> None:
        while self._connection.flush():
            # The server may be sending too: take that in, or both sides wait for ever.
            readable, _, _ = select.select([self.fileno()], [self.fileno()], [])
            if readable:
                self._consume(self._connection.consume_input)

    def _consume(self, take: Callable[[], None]) -> None:
        try:
            take()
        except Exception as error:
            raise Unreachable("the connection to PostgreSQL broke", detail=str(error)) from error

    def _notice(self, result: _Result) -> None:
        text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        self.notices.append(text.decode(errors="replace"))

    def _refusal(self, result: _Result) -> OutsideSystemError:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        text = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        if not state:
            return Unreachable("the connection to PostgreSQL broke", detail=result.get_error_message())
        if state.startswith(_AUTHORISATION):
            return NotAllowed("PostgreSQL does not allow this role to do that", detail=text)
        error = ServerSaid("PostgreSQL refused", detail=text)
        error.sqlstate = state
        return error


class Identity:
    """What IDENTIFY_SYSTEM tells.

    Attributes:
        system: Identifier of the cluster, made by initdb.
        timeline: Current timeline.
        position: Flushed end of the log.
        segment_size: Bytes of a WAL segment.
    """

    def __init__(self, system: int, timeline: int, position: int, segment_size: int) -> None:
        self.system, self.timeline, self.position, self.segment_size = system, timeline, position, segment_size


def _rows(result: _Result) -> list[dict[str, str]]:
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    return [
        {name: (result.get_value(row, column) or b"").decode() for column, name in enumerate(names)}
        for row in range(result.ntuples)
    ]


def _bytes(text: str) -> int:
    units = {"kB": 1024, "MB": 1024**2, "GB": 1024**3}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    return int(text.removesuffix("B"))
