"""An open-loop load: requests go out by the clock, however slow the answers are; nothing is sent twice."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from coffer.targets.load.connections import Clients, failure_of
from coffer.targets.load.profile import Prepared, Profile
from coffer.targets.load.records import Records
from coffer.targets.load.result import LoadResult, Post, summarise
from coffer.targets.load.websockets import hold_open

_LONGEST = 3600.0  # seconds; nobody leaves a load running by mistake
_WAITING = 2_000  # requests under way at most: beyond it the target is down and more would only burden this machine
_FRESH_SHARE = 3  # every third request gets a connection of its own
_KEPT_PAUSE = 2.0  # seconds between two requests of one kept connection: warm, and far below a rate limit a client


@dataclass(frozen=True)
class LoadRequest:
    """What to send where.

    Attributes:
        url: Scheme, host and port.
        profile: What it is made of.
        rate: Requests a second.
        seconds: How long at most.
        sources: Source addresses when the target is this machine.
        ca: Certificate authority to trust.
        websockets: WebSockets held open beside it.
        run: Makes the ids of requests; another run, other ids. A random one if empty.
    """

    url: str
    profile: Profile
    rate: float = 100.0
    seconds: float = 60.0
    sources: int = 1_024
    ca: Path | None = None
    websockets: int = 0
    run: str = ""


async def generate(
    request: LoadRequest,
    *,
    stop: asyncio.Event | None = None,
    on_post: Callable[[Post], None] = lambda _post: None,
    on_second: Callable[[Records], None] = lambda _records: None,
) -> LoadResult:
    """Send a load until its time is over or `stop` is set, then wait for what is under way.

    Args:
        request: What to send.
        stop: Ends it early.
        on_post: Told about every request with an id of its own, as it ends.
        on_second: Called about once a second.

    Raises:
        UsageError: The target is not ours to load.
    """
    load = _Load(request, on_post)
    holders = [asyncio.create_task(hold_open(load.clients, number, load.profile.websocket, load.records.websockets))
               for number in range(request.websockets if request.profile.websocket else 0)]  # fmt: skip
    try:
        seconds = await load.run(stop or asyncio.Event(), on_second)
    finally:
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)
        await load.clients.close()
    return summarise(load.records, seconds)


class _Load:
    def __init__(self, request: LoadRequest, on_post: Callable[[Post], None]) -> None:
        self._request, self._on_post = request, on_post
        self.profile = request.profile
        self.clients = Clients(request.url, request.sources, request.ca)
        self.records = Records([kind.name for kind in request.profile.requests])
        self._kinds = {kind.name: index for index, kind in enumerate(request.profile.requests)}
        self._kept = max(1, min(request.sources, round(request.rate * _KEPT_PAUSE)))
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event, on_second: Callable[[Records], None]) -> float:
        began = time.monotonic()
        prepared = enumerate(self.profile.sequence(self._request.run or uuid.uuid4().hex))
        told = began
        for due in self._schedule(began):
            await _until(due, stop)
            if stop.is_set():
                break
            self._send(*next(prepared), due)
            if due - told >= 1:
                told = due
                on_second(self.records)
        sending = time.monotonic() - began
        await asyncio.gather(*self._under_way)
        return sending

    def _schedule(self, began: float) -> Iterator[float]:
        number, seconds = 0, min(self._request.seconds, _LONGEST)
        while number < seconds * self._request.rate:
            yield began + number / self._request.rate
            number += 1

    def _send(self, number: int, prepared: Prepared, due: float) -> None:
        self.records.behind_ms = max(self.records.behind_ms, (time.monotonic() - due) * 1000)
        if len(self._under_way) >= _WAITING:
            self.records.not_sent += 1
            return
        task = asyncio.create_task(self._exchange(number, prepared))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _exchange(self, number: int, prepared: Prepared) -> None:
        fresh = number % _FRESH_SHARE == 0
        session = self.clients.session(number if fresh else number % self._kept, fresh=fresh)
        at, began = time.time(), time.monotonic()
        status, version, failure, why = 0, "", "", ""
        try:
            async with session.request(
                prepared.kind.method,
                self.clients.url + prepared.path,
                data=prepared.body,
                headers=prepared.headers,
                allow_redirects=False,
            ) as answer:
                status, body = answer.status, await answer.read()
                version = self._version(prepared, answer, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure, why = failure_of(error), str(error) or type(error).__name__
        else:
            if status not in prepared.kind.expect:
                failure, why = f"status-{status}", body[:200].decode(errors="replace")
        shown = f"{prepared.kind.method} {prepared.path}: {why}"
        self.records.add(
            started=at, seconds=time.monotonic() - began, kind=self._kinds[prepared.kind.name], version=version,
            fresh=fresh, failure=failure, why=shown,
        )  # fmt: skip
        if prepared.kind.key_header:
            self._on_post(Post(prepared.key, at, not failure, status, failure))

    def _version(self, prepared: Prepared, answer: aiohttp.ClientResponse, body: bytes) -> str:
        if self.profile.version_header and (named := answer.headers.get(self.profile.version_header)):
            return named.split()[0]  # an instance may be named after it
        if not prepared.kind.version:
            return ""
        with suppress(ValueError):
            document: Any = json.loads(body)
            if isinstance(document, dict):
                return str(document.get(self.profile.version_field, ""))
        return ""


async def _until(due: float, stop: asyncio.Event) -> None:
    pause = due - time.monotonic()
    if pause <= 0:
        await asyncio.sleep(0)  # late already, but answers must be read too
    else:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
