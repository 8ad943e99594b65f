"""Connections of many clients: each source address its own, some kept alive, some fresh for every request."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from coffer.errors import UsageError

TIMEOUT = aiohttp.ClientTimeout(total=15)


class Clients:
    """Pretends to be many clients.

    Args:
        url: Where to.
        count: Source addresses, if the target is this machine.
        ca: Certificate authority to trust, besides the usual ones.

    Raises:
        UsageError: The target is neither this machine nor in a private network: a load is for what is ours.
    """

    def __init__(self, url: str, count: int, ca: Path | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{url}' is no address to load", resolution="Use http://HOST:PORT or https://HOST:PORT")
        address = _address(parts.hostname)
        if not (address.is_loopback or address.is_private):
            raise UsageError(
                f"{parts.hostname} is not loaded", detail="it is neither this machine nor a private address"
            )
        self.url = url.rstrip("/")
        self._tls = ssl.create_default_context(cafile=str(ca) if ca else None) if parts.scheme == "https" else None
        self._sources = _sources(count) if address.is_loopback else [None]
        self._sessions: dict[tuple[int, bool], aiohttp.ClientSession] = {}

    def session(self, number: int, *, fresh: bool) -> aiohttp.ClientSession:
        """Return the client of some number; the same number is the same client."""
        index = number % len(self._sources)
        key = (index, fresh)
        if key not in self._sessions:
            self._sessions[key] = self._open(self._sources[index], fresh)
        return self._sessions[key]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    def _open(self, source: str | None, fresh: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            local_addr=(source, 0) if source else None,
            family=socket.AF_INET,  # the sources are IPv4, and `localhost` must not become ::1
            ssl=self._tls if self._tls is not None else True,
            force_close=fresh,
            limit=0,
            enable_cleanup_closed=False,
        )
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT)
        # aiohttp sends a GET again when a kept connection was closed under it: exactly what is to be seen.
        session._retry_connection = False
        return session


def failure_of(error: BaseException) -> str:
    """Name the way in which no answer came."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed-before-answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "answer-cut-off"
    if isinstance(error, OSError):
        return {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}.get(error.errno or 0, "connection")
    return type(error).__name__


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0])
    except OSError as error:
        raise UsageError(f"{host} has no address", detail=str(error)) from error


def _sources(count: int) -> list[str | None]:
    """Return addresses of 127.0.0.0/8, all of which Linux lets a program connect from; 127.0.0.1 is left to others."""
    first = int(ipaddress.IPv4Address("127.1.0.1"))
    return [str(ipaddress.IPv4Address(first + number + number // 250 * 6)) for number in range(max(1, count))]
