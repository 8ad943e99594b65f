"""One request to Prefect: retried where that is safe, and its failure classified.

Prefect with SQLite answers 503 ("database is locked") even under a light load; Prefect's own clients retry that,
so everything that speaks to it without them has to do the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError

_NOTHING_DONE = frozenset({429, 502, 503})
_MAYBE_DONE = frozenset({500, 504})
_LONGEST_PAUSE = 4.0

PATIENCE = 75.0
"""Seconds for one try. With SQLite the server waits up to 60 s for its own lock; who gives up earlier and asks again
only makes the line before that lock longer."""


class Transport:
    """Sends requests to one Prefect server.

    Args:
        url: The API's address, ending in `/api`.
        auth: `user:password` of the server's basic authentication; empty without.
        attempts: How often a request that may be repeated is tried.
        timeout: Seconds one try may take.
        transport: Takes the place of the network in tests.
        sleep: Waits between two tries.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: str = "",
        attempts: int = 6,
        timeout: float = PATIENCE,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        user, _, password = auth.partition(":")
        self.url = url.rstrip("/")
        self._attempts = attempts
        self._sleep = sleep
        # trust_env=False: a proxy for the outside world has no business between this machine and its own server.
        self._client = httpx.Client(
            base_url=self.url,
            auth=(user, password) if auth else None,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def send(self, method: str, path: str, body: object = None, *, repeatable: bool = True) -> httpx.Response:
        """Send a request until it is answered.

        Args:
            method: HTTP method.
            path: Path below the API's address.
            body: JSON document, or None.
            repeatable: Whether doing it twice is the same as once. If not, it is tried again only when the server
                surely did nothing: the connection was refused, or it answered 429, 502 or 503.

        Raises:
            Unreachable: No answer, or only 5xx, after all tries.
            NotAllowed: 401 or 403.
            NotThere: 404.
            UsageError: The server refuses the request's content (400, 409, 422).
            OutsideSystemError: Any other refusal.
        """
        problem = ""
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(min(0.25 * 2 ** (attempt - 1), _LONGEST_PAUSE))
            try:
                response = self._client.request(method, path, json=body)
            except httpx.ConnectError as error:
                problem = str(error) or type(error).__name__
                continue
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
                if repeatable:
                    continue
                break
            if response.is_success:
                return response
            problem = f"HTTP {response.status_code}"
            if response.status_code in _NOTHING_DONE or (repeatable and response.status_code in _MAYBE_DONE):
                continue
            raise refusal(response)
        raise Unreachable(
            f"Prefect does not answer at {self.url}",
            detail=f"{method} {path}: {problem}",
            resolution="Look at its server (coffer stack status) and at PREFECT_API_URL",
        )


def refusal(response: httpx.Response) -> CofferError:
    """Return the error that a refusing answer stands for."""
    status, what = response.status_code, f"{response.request.method} {response.request.url.path}"
    said = _detail(response)
    if status in (401, 403):
        return NotAllowed(
            "Prefect refuses these credentials",
            detail=f"{what}: HTTP {status}",
            resolution="Set PREFECT_API_AUTH_STRING",
        )
    if status == 404:
        return NotThere("Prefect does not know that", detail=f"{what}: {said}")
    if status in (400, 409, 422):
        return UsageError("Prefect refuses the request", detail=f"{what}: {said}")
    if status >= 500:
        return Unreachable("Prefect failed", detail=f"{what}: HTTP {status}")
    return OutsideSystemError("Prefect gave an unexpected answer", detail=f"{what}: HTTP {status} {said}")


def _detail(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return response.text[:500]
    if isinstance(document, dict):
        document = document.get("detail") or document.get("exception_detail") or document
    return str(document)[:500]
