"""A small steady load through the edge, as people make it: kept-alive and fresh connections, POSTs, WebSockets."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

_CLIENTS = 60
_EVERY = 0.65  # seconds between two requests of one address: under the edge's 100 a minute


@dataclass
class Seen:
    """What the clients saw."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    answers: list[tuple[float, str]] = field(default_factory=list)
    hellos: list[str] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)

    def last_answer_of(self, version: str) -> float:
        """When the last request was begun that this version answered."""
        return max((begun for begun, answered in self.answers if answered == version), default=0.0)


@contextmanager
def steady_load(url: str, ca: Path) -> Iterator[Seen]:
    seen, stop = Seen(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_run(url, ca, seen, stop)))
    thread.start()
    try:
        time.sleep(1.0)  # a second of quiet traffic before anything happens
        yield seen
        time.sleep(0.5)
    finally:
        stop.set()
        thread.join()


async def _run(url: str, ca: Path, seen: Seen, stop: threading.Event) -> None:
    trust = ssl.create_default_context(cafile=str(ca))
    numbers = itertools.count()
    clients = [_client(url, trust, n, seen, stop, numbers) for n in range(_CLIENTS)]
    await asyncio.gather(*clients, *(_listener(url, trust, n, seen, stop) for n in range(3)))


async def _client(
    url: str, trust: ssl.SSLContext, n: int, seen: Seen, stop: threading.Event, numbers: Iterator[int]
) -> None:
    fresh = n % 4 == 0
    connector = aiohttp.TCPConnector(local_addr=(f"127.20.0.{n + 1}", 0), ssl=trust, force_close=fresh)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as session:
        await asyncio.sleep(_EVERY * n / _CLIENTS)
        while not stop.is_set():
            begun, word = time.monotonic(), f"word-{next(numbers)}"
            seen.requests += 1
            try:
                async with session.request("POST" if n % 3 == 0 else "GET", url + "/work", data=word) as answer:
                    text = await answer.text()
                version, _, echoed = text.partition(" ")
                if answer.status != 200 or echoed != word:
                    seen.failures.append(f"{answer.status} {text[:80]}")
                seen.answers.append((begun, version))
            except (aiohttp.ClientError, TimeoutError) as error:
                seen.failures.append(repr(error))
            await asyncio.sleep(_EVERY)


async def _listener(url: str, trust: ssl.SSLContext, n: int, seen: Seen, stop: threading.Event) -> None:
    connector = aiohttp.TCPConnector(local_addr=(f"127.30.0.{n + 1}", 0), ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        while not stop.is_set():
            async with session.ws_connect(url + "/live") as socket:
                while not stop.is_set():
                    try:
                        message = await socket.receive(timeout=0.3)
                    except TimeoutError:
                        continue
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        seen.close_codes.append(message.data if message.type is aiohttp.WSMsgType.CLOSE else None)
                        break
                    seen.hellos.append(message.data)
