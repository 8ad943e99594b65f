"""HAProxy's runtime socket, as its management guide describes it (version 2.6, "Unix Socket commands")."""

from __future__ import annotations

import csv
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import OutsideSystemError, Unreachable

_UP = "2"
# Seconds that a restart of HAProxy may take.
_RESTART = 4.0


@dataclass(frozen=True)
class ServerState:
    """One server line of a backend.

    Attributes:
        address: Where it sends to.
        port: Port there.
        up: Operational state is up.
    """

    address: str
    port: int
    up: bool


@dataclass(frozen=True)
class BackendCounters:
    """What a backend counted since HAProxy started.

    Attributes:
        sessions: Streams in flight now.
        requests: Requests ever.
        server_errors: 5xx ever, HAProxy's own included.
        connection_errors: Connections to a server that failed.
        response_errors: Answers that broke off.
    """

    sessions: int
    requests: int
    server_errors: int
    connection_errors: int
    response_errors: int


class RuntimeSocket:
    """Commands on the admin socket; every answer is read and judged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def command(self, text: str) -> str:
        """Send one command and return the whole answer.

        Raises:
            Unreachable: HAProxy does not answer.
        """
        try:
            with self._connect() as connection:
                connection.sendall(text.encode() + b"\n")
                answer = bytearray()
                while part := connection.recv(65536):
                    answer += part
        except OSError as error:
            raise Unreachable(
                "HAProxy does not answer", detail=f"{self._path}: {error}", resolution="Start it: coffer stack up"
            ) from error
        return answer.decode().strip("\n")

    def servers(self) -> Mapping[tuple[str, str], ServerState]:
        """Return every server by backend and name."""
        version, _, table = self.command("show servers state").partition("\n# ")
        if version != "1":
            raise OutsideSystemError("HAProxy's servers cannot be read", detail=version[:200])
        rows = csv.DictReader(io.StringIO(table), delimiter=" ")
        return {
            (row["be_name"], row["srv_name"]): ServerState(
                row["srv_addr"],
                int(row["srv_port"]),
                up=row["srv_op_state"] == _UP,
            )
            for row in rows
        }

    def set_address(self, backend: str, server: str, address: str, port: int) -> None:
        """Point a server somewhere else.

        Raises:
            OutsideSystemError: HAProxy refuses.
        """
        answer = self.command(f"set server {backend}/{server} addr {address} port {port}")
        if "changed" not in answer and "no need to change" not in answer:
            raise OutsideSystemError(f"HAProxy refuses an address for {backend}/{server}", detail=answer)

    def mark_down(self, backend: str, server: str) -> None:
        """Take a server for down until its checks pass anew."""
        self._silent(f"set server {backend}/{server} health down")

    def map_value(self, path: Path, key: str) -> str | None:
        """Return a map's value in memory."""
        for line in self.command(f"show map {path}").splitlines():
            _, found, value = [*line.split(None, 2), "", ""][:3]
            if found == key:
                return value
            if found == "map" or "Unknown" in line:
                raise OutsideSystemError("HAProxy does not know the map", detail=line)
        return None

    def set_map(self, path: Path, key: str, value: str) -> None:
        """Set a map's value in memory, for every request that begins from now on.

        Raises:
            OutsideSystemError: It does not read back as written.
        """
        verb = "add" if self.map_value(path, key) is None else "set"
        self._silent(f"{verb} map {path} {key} {value}")
        if (found := self.map_value(path, key)) != value:
            raise OutsideSystemError("HAProxy's map did not change", detail=f"{key} is {found}, wanted {value}")

    def counters(self) -> Mapping[str, BackendCounters]:
        """Return the counters of every backend."""
        rows = csv.DictReader(io.StringIO(self.command("show stat").removeprefix("# ")))
        return {
            row["pxname"]: BackendCounters(
                int(row["scur"]), int(row["stot"]), int(row["hrsp_5xx"] or 0), int(row["econ"]), int(row["eresp"])
            )
            for row in rows
            if row["svname"] == "BACKEND"
        }

    def _connect(self) -> socket.socket:
        # A restart takes a moment in which nobody listens; nothing was sent yet, so trying again is harmless.
        end = time.monotonic() + _RESTART
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(5)
            try:
                connection.connect(str(self._path))
            except (ConnectionRefusedError, FileNotFoundError):
                connection.close()
                if time.monotonic() >= end:
                    raise
                time.sleep(0.05)
            else:
                return connection

    def _silent(self, text: str) -> None:
        if answer := self.command(text).strip():
            raise OutsideSystemError("HAProxy refuses a command", detail=f"{text}: {answer}")
