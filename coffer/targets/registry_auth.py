"""How a registry is answered when it asks who we are (RFC 7235 challenges, the distribution token protocol)."""

from __future__ import annotations

import base64
import ipaddress
import re

import httpx

from coffer.errors import NotAllowed, Unreachable

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def is_local(address: str) -> bool:
    """Tell whether an address is this machine, where plain HTTP is spoken."""
    host = address.rsplit(":", 1)[0] if address.count(":") == 1 else address.removeprefix("[").partition("]")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def answer_challenge(
    client: httpx.Client, response: httpx.Response, credentials: tuple[str, str] | None
) -> dict[str, str]:
    """Return the header that answers a 401.

    Args:
        client: Reaches the token service.
        response: The refusal with its `WWW-Authenticate`.
        credentials: Account and password, if there are any.

    Raises:
        NotAllowed: There are no credentials, or the token service refuses them, or would take them in clear text.
        Unreachable: The token service gave no answer.
    """
    scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
    if scheme.lower() == "bearer":
        return {"Authorization": f"Bearer {_token(client, dict(_PARAMETER.findall(rest)), credentials)}"}
    if credentials is None:
        raise NotAllowed(
            f"the registry {response.url.host} wants credentials",
            resolution="Give the Registry block a user and password",
        )
    word = base64.b64encode(":".join(credentials).encode()).decode()
    return {"Authorization": f"Basic {word}"}


def _token(client: httpx.Client, challenge: dict[str, str], credentials: tuple[str, str] | None) -> str:
    realm = httpx.URL(challenge.get("realm", ""))
    if realm.scheme != "https" and not is_local(f"{realm.host}:{realm.port or 80}"):
        raise NotAllowed("the registry's token service is not encrypted", detail=str(realm))
    wanted: dict[str, str] = {name: value for name, value in challenge.items() if name in ("service", "scope")}
    try:
        answer = client.get(realm, params=wanted, auth=credentials or httpx.USE_CLIENT_DEFAULT)
    except httpx.TransportError as error:
        raise Unreachable(f"the token service {realm.host} gave no answer", detail=str(error)) from error
    if answer.is_server_error:
        raise Unreachable(f"the token service {realm.host} gave no answer", detail=f"HTTP {answer.status_code}")
    if answer.is_error:
        raise NotAllowed(f"the token service {realm.host} refuses this identity", detail=f"HTTP {answer.status_code}")
    document = answer.json()
    return str(document.get("token") or document.get("access_token") or "")
