"""A dead man's switch: pinged by good points, a failure of its own harms nothing, its address is never shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coffer.environments import Environment
from coffer.environments.model import Watch
from coffer.errors import CofferError, OutsideSystemError, Unreachable, UsageError
from coffer.recovery import metrics, watch


class Waiting:
    """Waits for pings; answers what it was told to, then 200."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.answers: list[int] = []
        waiting = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                waiting.paths.append(self.path)
                self.send_response(waiting.answers.pop(0) if waiting.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/ping/0123-secret"


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    found = Waiting()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def environment(**settings: Any) -> Environment:
    recovery = SimpleNamespace(watch=Watch(**settings))
    service = SimpleNamespace(name="app")
    return cast("Environment", SimpleNamespace(name="production", service=service, recovery=recovery))


def named(folder: Path, address: str) -> str:
    (folder / "ping").write_text(address)
    return f"file:{folder / 'ping'}"


def test_an_answer_that_fails_is_asked_again(tmp_path: Path, waiting: Waiting) -> None:
    waiting.answers = [503, 500]
    paused: list[float] = []
    assert watch.ping(environment(ping=named(tmp_path, waiting.address)), sleep=paused.append)
    assert waiting.paths == ["/ping/0123-secret"] * 3
    assert paused == sorted(paused)
    assert len(paused) == 2


@pytest.mark.parametrize("way", ["answers 500", "refuses", "is no address"])
def test_what_is_not_told_is_said_without_the_address(tmp_path: Path, waiting: Waiting, way: str) -> None:
    address = {
        "answers 500": waiting.address,
        "refuses": "http://127.0.0.1:1/0123-secret",
        "is no address": "0123-secret",
    }
    waiting.answers = [500] * 3
    with pytest.raises((OutsideSystemError, UsageError)) as told:
        watch.ping(environment(ping=named(tmp_path, address[way])), sleep=lambda _: None)
    assert "0123-secret" not in str(told.value)
    assert "127.0.0.1" not in str(told.value)


def test_nobody_waits_where_none_is_named() -> None:
    assert not watch.ping(environment())


def test_nothing_that_goes_wrong_is_the_point_s_fault(
    tmp_path: Path, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unreachable("the vault is away")

    monkeypatch.setattr(watch, "look", away)
    said: list[str] = []
    assert watch.point_taken(environment(ping=named(tmp_path, waiting.address)), said.append) is None
    assert len(waiting.paths) == 1, "the point is there all the same"
    assert "the vault is away" in said[0]
    monkeypatch.setattr(watch, "ping", away)
    assert watch.point_taken(environment(), said.append) is None
    assert len(said) == 3


def test_the_file_is_replaced_whole_and_readable_for_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "collector" / "coffer.prom"
    metrics.write(path, "first 1\n")
    metrics.write(path, "second 2\n")
    assert path.read_text() == "second 2\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        metrics.write(tmp_path / "file" / "coffer.prom", "")


def test_a_variable_that_is_not_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COFFER_NOWHERE", raising=False)
    with pytest.raises(CofferError, match="not set"):
        watch.keep_metrics(environment(metrics="$COFFER_NOWHERE/x.prom"), cast("Any", None))
