"""Questions over HTTP: to an instance itself, to a colour alone, and to the front door."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Answer:
    """One answer, or the lack of one.

    Attributes:
        status: HTTP status; 0 if nothing answered.
        colour: Colour that HAProxy says it came from.
        body: Beginning of the text, or why there was no answer.
        seconds: How long it took.
    """

    status: int
    colour: str = ""
    body: str = ""
    seconds: float = 0.0


def ask(url: str, *, socket: Path | None = None, source: str | None = None, ca: str = "") -> Answer:
    """Ask once over a fresh connection.

    Args:
        url: Address; its host is only a name when `socket` is given.
        socket: UNIX socket to go through.
        source: Local address to ask from.
        ca: Certificate file to trust instead of the system's.
    """
    trust = _trust(ca) if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.HTTPTransport(uds=str(socket) if socket else None, local_address=source, verify=trust)
    try:
        with httpx.Client(transport=transport, timeout=5, trust_env=False) as client:
            answer = client.get(url, headers={"User-Agent": "coffer"})
    except httpx.HTTPError as error:
        return Answer(0, body=f"{type(error).__name__}: {error}")
    seconds = answer.elapsed.total_seconds()
    return Answer(answer.status_code, answer.headers.get("x-coffer-colour", ""), answer.text[:300], seconds)


def _trust(ca: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca or None)
