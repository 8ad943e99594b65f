"""The door at which registries knock: a notification in, Prefect events out."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coffer.errors import CofferError, UsageError
from coffer.prefect_api import PrefectApi
from coffer.receivers.notifications import PushedImage, pushed_images

EVENT = "coffer.image.pushed"
LARGEST_BODY = 1_000_000
_log = logging.getLogger("coffer.receivers")


def create_app(
    api: PrefectApi,
    secret: str,
    *,
    registry: str = "",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Starlette:
    """Make the receiver.

    Args:
        api: Where events go.
        secret: What the registry has to know.
        registry: The registry's address as environments write it; empty: the one each notification names.
        clock: Now, with time zone.

    Raises:
        UsageError: The secret is empty, which would let everybody in.
    """
    if not secret:
        raise UsageError("the receiver's secret is empty", resolution="Write one into COFFER_RECEIVER_SECRET_FILE")

    async def receive(request: Request) -> JSONResponse:
        if not _knows(request, secret):
            return _answer(401, "the secret is missing or wrong", {"WWW-Authenticate": "Bearer"})
        body = await _body(request)
        if body is None:
            return _answer(413, f"more than {LARGEST_BODY} bytes")
        try:
            images = pushed_images(json.loads(body), registry=registry, now=clock())
        except (ValueError, UsageError) as error:
            return _answer(400, str(error))
        try:
            await run_in_threadpool(_emit, api, images)
        except CofferError as error:
            # Not 2xx: the registry keeps the notification and knocks again.
            _log.warning("%s", error)
            return _answer(503, error.summary)
        return JSONResponse({"accepted": [image.image for image in images]})

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[Route("/registry", receive, methods=["POST"]), Route("/health", health, methods=["GET", "HEAD"])]
    )


def _emit(api: PrefectApi, images: list[PushedImage]) -> None:
    for image in images:
        api.emit(EVENT, image.resource, image.payload, identity=image.identity, occurred=image.occurred)
        _log.info("%s %s (tag %s)", EVENT, image.image, image.tag)


def _knows(request: Request, secret: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # compare_digest on bytes: the time it takes tells nothing about how much was right.
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), secret.encode())


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _answer(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status, headers=headers)
