from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import httpx
import pytest

from coffer.errors import IntegrityError, NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError
from coffer.release.images import ImageReference
from coffer.targets.registry import Registry, address_of
from coffer.targets.registry_auth import is_local

BODY = b'{"config": {"digest": "sha256:0"}}'
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
IMAGE = ImageReference("registry.example/app", DIGEST)
BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()
Handler = Callable[[httpx.Request], httpx.Response]


def registry(handler: Handler, *, user: str = "ann") -> Registry:
    return Registry(
        "registry.example", username=user, password="secret", transport=httpx.MockTransport(handler), timeout=1
    )


def wants(challenge: str, token: str) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "token.example":
            assert request.headers["Authorization"] == BASIC
            assert dict(request.url.params) == {"service": "r", "scope": "repository:app:pull"}
            return httpx.Response(200, json={"token": "t-1"})
        if request.headers.get("Authorization") != token:
            return httpx.Response(401, headers={"WWW-Authenticate": challenge})
        return httpx.Response(200, content=BODY, headers={"Docker-Content-Digest": DIGEST})

    return handler


def test_basic_credentials_are_given_when_asked_for() -> None:
    assert registry(wants('Basic realm="r"', BASIC)).resolve("registry.example/app", "v1") == IMAGE


def test_a_token_is_fetched_from_the_service_that_the_registry_names() -> None:
    challenge = 'Bearer realm="https://token.example/t",service="r",scope="repository:app:pull"'
    assert registry(wants(challenge, "Bearer t-1")).exists(IMAGE)


def test_credentials_never_go_to_a_token_service_in_clear_text() -> None:
    with pytest.raises(NotAllowed, match="not encrypted"):
        registry(wants('Bearer realm="http://token.example/t"', "x")).exists(IMAGE)


def test_without_credentials_or_with_wrong_ones_it_is_not_allowed() -> None:
    with pytest.raises(NotAllowed, match="wants credentials"):
        registry(wants('Basic realm="r"', BASIC), user="").exists(IMAGE)
    with pytest.raises(NotAllowed, match="refuses this identity"):
        registry(wants('Basic realm="r"', "another")).exists(IMAGE)
    with pytest.raises(NotAllowed):
        registry(lambda _r: httpx.Response(403)).exists(IMAGE)


def test_only_a_404_says_absent() -> None:
    assert registry(lambda _r: httpx.Response(404)).exists(IMAGE) is False
    with pytest.raises(NotThere):
        registry(lambda _r: httpx.Response(404)).resolve("registry.example/app", "v1")
    with pytest.raises(Unreachable, match="HTTP 503"):
        registry(lambda _r: httpx.Response(503)).exists(IMAGE)
    with pytest.raises(OutsideSystemError):
        registry(lambda _r: httpx.Response(400)).exists(IMAGE)


def test_a_passing_trouble_is_tried_again() -> None:
    answers = [httpx.Response(503), httpx.Response(200, content=BODY)]
    assert registry(lambda _r: answers.pop(0)).exists(IMAGE)


def test_bytes_that_are_not_what_the_digest_says_are_refused() -> None:
    lying = httpx.Response(200, content=b"{}", headers={"Docker-Content-Digest": DIGEST})
    with pytest.raises(IntegrityError):
        registry(lambda _r: lying).resolve("registry.example/app", "v1")
    with pytest.raises(IntegrityError):
        registry(lambda _r: httpx.Response(200, content=b"{}")).manifest(IMAGE)
    with pytest.raises(IntegrityError):
        registry(lambda _r: httpx.Response(200, content=b"{}")).blob("registry.example/app", DIGEST)


def test_an_upload_does_not_follow_the_registry_to_another_host() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(404)
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": "https://elsewhere.example/upload"})
        assert request.url.host == "registry.example", "something was sent elsewhere"
        return httpx.Response(200, content=BODY)

    with pytest.raises(OutsideSystemError, match="another host"):
        registry(handler).put_artifact(IMAGE, "sbom", b"{}", "application/json")


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:5000", True),
        ("localhost", True),
        ("[::1]:5000", True),
        ("registry.example", False),
        ("10.0.0.1:5000", False),
        ("localhost.example:5000", False),
    ],
)
def test_only_this_machine_is_spoken_to_in_clear_text(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_a_repository_says_which_registry() -> None:
    assert address_of("127.0.0.1:5000/creditai") == "127.0.0.1:5000"
    for name in ("creditai", "library/creditai"):
        with pytest.raises(UsageError):
            address_of(name)
    with pytest.raises(UsageError, match="not in the registry"):
        registry(lambda _r: httpx.Response(200)).resolve("other.example/app", "v1")
