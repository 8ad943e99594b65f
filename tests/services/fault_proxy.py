"""An HTTP proxy before a store that answers 503, hangs, cuts bodies or resets connections as told."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass
class _Fault:
    act: Callable[[_Exchange], None]
    at: int
    times: int
    method: str
    query: str
    seen: int = 0


class FaultProxy:
    """Passes everything on until it is told to fail; `with` starts and ends it.

    `at` counts from 1 the requests of that method whose path and query hold `query`, since the fault was armed.

    Attributes:
        endpoint: Its address.
        seen: Every request so far: method, path and query.
    """

    def __init__(self, upstream: str) -> None:
        self.seen: list[str] = []
        self._upstream = urlsplit(upstream).netloc
        self._faults: list[_Fault] = []
        self._mutex = threading.Lock()
        self._end = threading.Event()
        proxy = self

        class Handler(_Exchange):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def busy(self, status: int = 503, *, at: int = 1, times: int = 1, method: str = "", query: str = "") -> None:
        """Answer with a status and S3's SlowDown, without asking the store."""
        self._arm(lambda exchange: exchange.answer(status, _BUSY), at, times, method, query)

    def hang(self, *, at: int = 1, times: int = 1, method: str = "", query: str = "") -> None:
        """Give no answer for as long as the proxy lives."""
        self._arm(lambda _: [self._end.wait(), None][1], at, times, method, query)

    def reset(self, *, at: int = 1, times: int = 1, method: str = "", query: str = "") -> None:
        """Break the connection before the store is asked."""
        self._arm(lambda exchange: exchange.reset(), at, times, method, query)

    def lose(self, *, at: int = 1, times: int = 1, method: str = "", query: str = "") -> None:
        """Let the store do it and break the connection instead of the answer."""
        self._arm(lambda exchange: (exchange.forward(), exchange.reset())[1], at, times, method, query)

    def cut(self, *, at: int = 1, times: int = 1, method: str = "GET", query: str = "") -> None:
        """Send half of the body that was promised."""
        self._arm(lambda exchange: exchange.relay(exchange.forward(), cut=True), at, times, method, query)

    def damage(self, *, at: int = 1, times: int = 1, method: str = "GET", query: str = "") -> None:
        """Change a bit of the body on the way."""
        self._arm(lambda exchange: exchange.relay(exchange.forward(), damage=True), at, times, method, query)

    def heal(self) -> None:
        """Fail no more."""
        with self._mutex:
            self._faults.clear()

    def _arm(self, act: Callable[[_Exchange], None], at: int, times: int, method: str, query: str) -> None:
        with self._mutex:
            self._faults.append(_Fault(act, at, times, method, query))

    def fault_of(self, method: str, path: str) -> Callable[[_Exchange], None] | None:
        with self._mutex:
            self.seen.append(f"{method} {path}")
            for fault in self._faults:
                if fault.method in ("", method) and fault.query in path:
                    fault.seen += 1
                    if fault.at <= fault.seen < fault.at + fault.times:
                        return fault.act
        return None

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        connection.request(method, path, body, headers)
        return connection.getresponse()


class _Exchange(BaseHTTPRequestHandler):
    """One request and what becomes of it."""

    protocol_version = "HTTP/1.1"
    owner: FaultProxy
    body = b""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        act = self.owner.fault_of(self.command, self.path)
        if act is None:
            self.relay(self.forward())
        else:
            act(self)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def forward(self) -> tuple[int, dict[str, str], bytes]:
        """Ask the store; the Host stays, since it is signed."""
        dropped = {"expect", "connection"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        answer = self.owner.ask(self.command, self.path, self.body, headers)
        return answer.status, dict(answer.getheaders()), answer.read()

    def relay(self, answer: tuple[int, dict[str, str], bytes], *, cut: bool = False, damage: bool = False) -> None:
        status, headers, body = answer
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if damage and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut

    def answer(self, status: int, body: bytes) -> None:
        self.relay((status, {"Content-Type": "application/xml"}, b"" if self.command == "HEAD" else body))

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `seen` has it."""
