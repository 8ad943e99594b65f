"""A request is repeated where that is safe, and every failure has its class."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError
from coffer.prefect_api.transport import Transport

Answer = int | type[httpx.TransportError]


class Server:
    """Answers by a list; the last answer stays."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"detail": "said why"})
        raise answer("broken")

    def transport(self, **options: object) -> Transport:
        return Transport(
            "http://prefect.test/api/",
            transport=httpx.MockTransport(self.handle),
            sleep=self.pauses.append,
            **options,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("hiccup", [503, 502, 429, 500, 504, httpx.ConnectError, httpx.ReadTimeout])
def test_a_hiccup_is_ridden_out(hiccup: Answer) -> None:
    server = Server(hiccup, hiccup, 200)
    assert server.transport().send("POST", "/x", {"a": 1}).status_code == 200
    assert len(server.requests) == 3
    assert server.pauses == sorted(server.pauses)
    assert {request.content for request in server.requests} == {b'{"a":1}'}


@pytest.mark.parametrize("hiccup", [503, 429, httpx.ConnectError])
def test_what_must_not_happen_twice_is_repeated_only_if_nothing_was_done(hiccup: Answer) -> None:
    server = Server(hiccup, 200)
    assert server.transport().send("POST", "/resume", repeatable=False).is_success
    assert len(server.requests) == 2


@pytest.mark.parametrize("hiccup", [500, 504, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_what_may_have_happened_is_not_done_again(hiccup: Answer) -> None:
    server = Server(hiccup, 200)
    with pytest.raises(Unreachable):
        server.transport().send("POST", "/resume", repeatable=False)
    assert len(server.requests) == 1


def test_it_gives_up_with_one_clear_error() -> None:
    server = Server(503)
    with pytest.raises(Unreachable, match=r"http://prefect\.test/api.*HTTP 503.*PREFECT_API_URL"):
        server.transport(attempts=4).send("GET", "/x")
    assert len(server.requests) == 4
    assert sum(server.pauses) < 10


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAllowed),
        (403, NotAllowed),
        (404, NotThere),
        (400, UsageError),
        (409, UsageError),
        (422, UsageError),
        (418, OutsideSystemError),
    ],
)
def test_a_refusal_is_final_and_classified(status: int, kind: type[CofferError]) -> None:
    server = Server(status)
    with pytest.raises(kind) as caught:
        server.transport().send("GET", "/x")
    assert type(caught.value) is kind
    assert len(server.requests) == 1


def test_the_password_is_sent_and_never_shown() -> None:
    server = Server(401)
    with pytest.raises(NotAllowed) as caught:
        server.transport(auth="admin:hunter2:x").send("GET", "/x")
    assert httpx.BasicAuth("admin", "hunter2:x")._auth_header == server.requests[0].headers["authorization"]
    assert "hunter2" not in str(caught.value)


def test_a_proxy_of_the_outside_world_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seen: list[Callable[..., object]] = []
    client = Transport("http://prefect.test/api")
    seen.extend(client._client._mounts.values())
    assert seen == []
