"""WebSockets held open beside a load: who closes them, and whether it says so first."""

from __future__ import annotations

import asyncio

import aiohttp

from coffer.targets.load.connections import Clients
from coffer.targets.load.records import WebSocketCounts

_AGAIN_AFTER = 0.5  # seconds, as a browser's client would wait


async def hold_open(clients: Clients, number: int, path: str, counts: WebSocketCounts) -> None:
    """Keep one WebSocket open until cancelled; connect again whenever it ends.

    Args:
        clients: Whose connections are used.
        number: Which client.
        path: Path of the WebSocket.
        counts: What is counted.
    """
    session = clients.session(number, fresh=True)
    while True:
        try:
            async with session.ws_connect(clients.url + path, heartbeat=20) as socket:
                counts.opened += 1
                async for _message in socket:
                    pass
                _count_end(socket.close_code, counts)
        except (aiohttp.ClientError, TimeoutError, OSError):
            counts.refused += 1
        await asyncio.sleep(_AGAIN_AFTER)


def _count_end(code: int | None, counts: WebSocketCounts) -> None:
    if code is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        counts.cut += 1
    else:
        counts.told[code] += 1
