"""The door: who may knock, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from coffer.errors import UsageError
from coffer.prefect_api import PrefectApi
from coffer.prefect_api.transport import Transport
from coffer.receivers.app import EVENT, LARGEST_BODY, create_app

SECRET = "a secret that only the registry knows"
DIGEST = "sha256:" + "5f" * 32


def push(tag: str = "main-7", digest: str = DIGEST) -> dict[str, Any]:
    return {
        "action": "push",
        "timestamp": "2026-11-24T10:00:00Z",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "repository": "creditai",
            "tag": tag,
        },
        "request": {"host": "127.0.0.1:5000"},
    }


class Prefect:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(204)

    def handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.answer()
        if answer.is_success:
            assert request.url.path == "/api/events"
            self.events += json.loads(request.content)
        return answer


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


@pytest.fixture
def client(prefect: Prefect) -> TestClient:
    transport = Transport(
        "http://prefect.test/api", attempts=2, transport=httpx.MockTransport(prefect.handle), sleep=lambda seconds: None
    )
    return TestClient(create_app(PrefectApi(transport), SECRET, clock=lambda: datetime(2026, 11, 24, tzinfo=UTC)))


def knock(
    client: TestClient, *events: Any, authorization: str | None = f"Bearer {SECRET}", body: Any = None
) -> httpx.Response:
    headers = {"Content-Type": "application/vnd.docker.distribution.events.v1+json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    content = json.dumps({"events": list(events)}).encode() if body is None else body
    return client.post("/registry", content=content, headers=headers)


def test_a_push_becomes_an_event(client: TestClient, prefect: Prefect) -> None:
    assert knock(client, push()).status_code == 200
    [event] = prefect.events
    assert event["event"] == EVENT == "coffer.image.pushed"
    assert event["occurred"] == "2026-11-24T10:00:00+00:00"
    assert event["resource"]["prefect.resource.id"] == "coffer.service.creditai"
    assert event["payload"]["image"] == f"127.0.0.1:5000/creditai@{DIGEST}"


def test_delivered_three_times_it_has_one_id(client: TestClient, prefect: Prefect) -> None:
    for _ in range(3):
        assert knock(client, push()).status_code == 200
    assert len(prefect.events) == 3
    assert len({event["id"] for event in prefect.events}) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        f"Basic {SECRET}",
        SECRET,
    ],
)
def test_whoever_does_not_know_the_secret_starts_nothing(
    client: TestClient, prefect: Prefect, authorization: str | None
) -> None:
    answer = knock(client, push(), authorization=authorization)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert SECRET not in answer.text
    assert prefect.events == []


def test_bytes_that_are_no_text_are_no_secret(client: TestClient, prefect: Prefect) -> None:
    answer = client.post("/registry", content=b"{}", headers=[(b"authorization", b"Bearer \xff\xfe")])
    assert answer.status_code == 401


@pytest.mark.parametrize("status", [503, 500, 401, 404, 422])
def test_if_prefect_does_not_take_it_the_registry_must_knock_again(
    client: TestClient, prefect: Prefect, status: int
) -> None:
    prefect.answer = lambda: httpx.Response(status, json={"detail": "no"})
    assert knock(client, push()).status_code == 503
    prefect.answer = lambda: httpx.Response(204)
    assert knock(client, push()).status_code == 200
    assert len(prefect.events) == 1


def test_if_prefect_is_away_the_registry_must_knock_again(client: TestClient, prefect: Prefect) -> None:
    def away() -> httpx.Response:
        raise httpx.ConnectError("refused")

    prefect.answer = away
    assert knock(client, push()).status_code == 503


def test_what_is_no_push_is_taken_and_forgotten(client: TestClient, prefect: Prefect) -> None:
    assert knock(client, {**push(), "action": "pull"}, push(tag="build-1")).json() == {"accepted": []}
    assert prefect.events == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"events": 1}', b"\xff\xfe\x00"])
def test_what_is_no_notification_is_refused(client: TestClient, prefect: Prefect, body: bytes) -> None:
    assert knock(client, body=body).status_code == 400


def test_a_body_without_end_is_not_read(client: TestClient, prefect: Prefect) -> None:
    read = 0

    def endless() -> Any:
        nonlocal read
        for _ in range(100):
            read += 100_000
            yield b" " * 100_000

    answer = knock(client, body=endless())
    assert answer.status_code == 413
    assert knock(client, body=b" " * (LARGEST_BODY + 1)).status_code == 413
    assert prefect.events == []


def test_other_doors_are_closed(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/registry").status_code == 405
    assert client.post("/").status_code == 404


def test_an_empty_secret_would_let_everybody_in() -> None:
    with pytest.raises(UsageError, match="secret is empty"):
        create_app(PrefectApi(Transport("http://prefect.test/api")), "")
