"""Requests to a registry: who we are, what is tried again, and what each refusal means."""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

from coffer.errors import NotAllowed, NotThere, OutsideSystemError, Unreachable
from coffer.targets.registry_auth import answer_challenge, is_local

_ATTEMPTS = 3


class RegistryHttp:
    """The connection of one identity to one registry."""

    def __init__(
        self, address: str, username: str, password: str, timeout: float, transport: httpx.BaseTransport | None
    ) -> None:
        scheme = "http" if is_local(address) else "https"
        self._address = address
        self._credentials = (username, password) if username else None
        self._client = httpx.Client(
            base_url=f"{scheme}://{address}/v2/", timeout=timeout, transport=transport, trust_env=False
        )
        self._authorization: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def has(self, path: str) -> bool:
        """Tell whether something is there; only a 404 says no."""
        try:
            self.request("HEAD", path)
        except NotThere:
            return False
        return True

    def within(self, place: str) -> httpx.URL:
        """Return an address that the registry named, provided that it is the registry's own.

        Raises:
            OutsideSystemError: It is another host, to which our credentials must not go.
        """
        target = self._client.base_url.join(place)
        if target.netloc != self._client.base_url.netloc:
            raise OutsideSystemError(f"{self._address} wants the upload to go to another host", detail=target.host)
        return target

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        follow_redirects: bool = False,
    ) -> httpx.Response:
        """Send a request; answer a challenge once.

        Raises:
            NotThere: 404.
            NotAllowed: 401 or 403.
            Unreachable: No answer, or 5xx, three times.
            OutsideSystemError: Any other refusal.
        """
        response = self._send(method, path, headers or {}, content, follow_redirects)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._authorization = answer_challenge(self._client, response, self._credentials)
            response = self._send(method, path, headers or {}, content, follow_redirects)
        return self._classified(response, f"{method} {path}")

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None, follow_redirects: bool
    ) -> httpx.Response:
        trouble = ""
        for attempt in range(_ATTEMPTS):
            try:
                response = self._client.request(
                    method,
                    path,
                    headers={**headers, **self._authorization},
                    content=content,
                    follow_redirects=follow_redirects,
                )
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
            else:
                if not response.is_server_error:
                    return response
                trouble = f"HTTP {response.status_code}"
            if attempt < _ATTEMPTS - 1:
                time.sleep(0.2 * 2**attempt)  # give a registry in trouble room to recover
        raise Unreachable(f"the registry {self._address} gave no answer", detail=f"{method} {path}: {trouble}")

    def _classified(self, response: httpx.Response, what: str) -> httpx.Response:
        shown = f"{what}: HTTP {response.status_code}"
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise NotAllowed(
                f"the registry {self._address} refuses this identity",
                detail=shown,
                resolution="Check the registry's credentials",
            )
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotThere(f"the registry {self._address} does not have it", detail=shown)
        if not response.is_success:
            raise OutsideSystemError(
                f"the registry {self._address} refused a request", detail=f"{shown} {response.text[:300]}"
            )
        return response
