"""Serves the log to a cluster in recovery from the process that holds the keys, fetching ahead."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from coffer.errors import CofferError
from coffer.recovery import wal_client
from coffer.recovery.restore_command import restore_command
from coffer.sources.postgres.programs import own
from coffer.sources.postgres.wal import SEGMENT_SIZE, Segment, is_segment
from coffer.sources.postgres.wal_fetch import PastTheEnd, WalFetcher

_AHEAD = 3


class WalServer:
    """A context manager; inside it, `restore_command` works for a cluster of this machine.

    Args:
        fetcher: Where the log comes from.
        folder: Private folder for the socket and the client, reachable for the account.
        user: Account that runs the cluster.

    Attributes:
        served: Names that were given.
        failures: What went wrong, in order; the end of the log is none.
    """

    def __init__(self, fetcher: WalFetcher, folder: Path, user: str, *, segment_size: int = SEGMENT_SIZE) -> None:
        self._fetcher, self._folder, self._user, self._size = fetcher, folder, user, segment_size
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="wal-fetch")
        self._ahead: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()
        self.served: list[str] = []
        self.failures: list[CofferError] = []

    @property
    def restore_command(self) -> str:
        """Shell line for PostgreSQL's setting."""
        # The interpreter behind the virtual environment: the account may not be able to walk into the latter.
        python = os.path.realpath(sys.executable)
        return restore_command(
            [python, "-I", "-S", str(self._folder / "wal_client.py"), str(self._folder / "wal.sock"), "%f", "%p"],
            wal_client.PAST_THE_END,
        )

    def __enter__(self) -> WalServer:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(Path(wal_client.__file__), self._folder / "wal_client.py")
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._answer(self.rfile.readline().decode(errors="replace").strip(), self.connection)

        self._server = socketserver.ThreadingUnixStreamServer(str(self._folder / "wal.sock"), Handler)
        own(self._folder, self._user)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="wal-server")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._pool.shutdown(cancel_futures=True)

    def _answer(self, name: str, connection: socket.socket) -> None:
        try:
            data = self._read(name)
        except PastTheEnd as error:
            connection.sendall(f"end {error}\n".encode())
        except CofferError as error:
            self.failures.append(error)
            connection.sendall(f"failed {error}\n".encode())
        else:
            self.served.append(name)
            connection.sendall(f"found {len(data)}\n".encode())
            connection.sendall(data)

    def _read(self, name: str) -> bytes:
        if not is_segment(name):
            return self._fetcher.read(name)
        with self._lock:
            known = self._ahead.pop(name, None)
            segment = Segment.parse(name, self._size)
            for _ in range(_AHEAD):
                segment = segment.next()
                if segment.name not in self._ahead:
                    self._ahead[segment.name] = self._pool.submit(self._fetcher.read, segment.name)
        return known.result() if known else self._fetcher.read(name)
