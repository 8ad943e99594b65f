"""A network between a server and its client that can be cut: what was said before stays unanswered."""

from __future__ import annotations

import contextlib
import multiprocessing
import select
import socket
import threading
from pathlib import Path
from types import TracebackType


class PostgresProxy:
    """Listens as `.s.PGSQL.PORT` in a folder of its own and passes on to the same name in another.

    Args:
        folder: Its own; give it as `host`.
        upstream: The server's folder.
        port: The server's port.
    """

    def __init__(self, folder: Path, upstream: Path, port: int) -> None:
        folder.mkdir()
        self._upstream = str(upstream / f".s.PGSQL.{port}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / f".s.PGSQL.{port}"))
        self._listener.listen()
        self._listener.settimeout(0.05)
        # A process of its own: libpq's blocking connect holds the interpreter's lock until the proxy has answered.
        apart = multiprocessing.get_context("fork")
        self._flowing, self._end = apart.Event(), apart.Event()
        self._flowing.set()
        self._process = apart.Process(target=self._accept)

    def __enter__(self) -> PostgresProxy:
        self._process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._process.join()
        self._listener.close()

    def cut(self) -> None:
        """Pass nothing on any more; connections stay open and silent."""
        self._flowing.clear()

    def mend(self) -> None:
        """Pass on what comes over new connections; those of before stay dead."""
        self._flowing.set()

    def _accept(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,)).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._upstream)
            other = {client: server, server: client}
            while self._flowing.is_set() and not self._end.is_set():
                for ready in select.select(list(other), [], [], 0.05)[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if self._flowing.is_set():
                        other[ready].sendall(data)
            self._end.wait()
