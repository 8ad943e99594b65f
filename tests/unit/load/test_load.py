from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from coffer.errors import UsageError
from coffer.targets.load import LoadRequest, Post, Profile, RequestKind, generate, load_profile, reconcile

GET = Profile((RequestKind("get", "/", version=True),))
MIXED = Profile(
    (
        RequestKind("get", "/", weight=3, version=True),
        RequestKind("post", "/items", "POST", expect=frozenset({201}), key_header="Idempotency-Key", json={"n": "{n}"}),
    ),
    websocket="/ws",
)


class App:
    """A service in this process that remembers who asked what."""

    def __init__(self) -> None:
        self.version = "v1"
        self.sources: Counter[str] = Counter()
        self.ports: Counter[int] = Counter()
        self.keys: list[str] = []
        self.bodies: list[object] = []
        self.answer: Callable[[web.Request], web.StreamResponse | None] = lambda _request: None
        self.sockets: set[web.WebSocketResponse] = set()
        self.url = ""

    async def get(self, request: web.Request) -> web.StreamResponse:
        host, port = request.transport.get_extra_info("peername")[:2]
        self.sources[host] += 1
        self.ports[port] += 1
        return self.answer(request) or web.json_response({"version": self.version})

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["Idempotency-Key"])
        self.bodies.append(await request.json())
        return self.answer(request) or web.json_response({}, status=201)

    async def ws(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.add(ws)
        async for _ in ws:
            pass
        return ws


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[App]:
    web_app = web.Application()
    web_app.router.add_get("/", app.get)
    web_app.router.add_post("/items", app.post)
    web_app.router.add_get("/ws", app.ws)
    runner = web.AppRunner(web_app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    app.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield app
    finally:
        await runner.cleanup()


async def test_many_clients_on_kept_and_fresh_connections_are_all_answered() -> None:
    async with serving(App()) as app:
        result = await generate(LoadRequest(app.url, GET, rate=300, seconds=1.5, sources=200))
    assert (result.requests, result.failed, result.not_sent) == (450, 0, 0)
    assert (result.kept_alive, result.fresh) == (300, 150)
    assert len(app.sources) == 200
    assert all(source.startswith("127.") for source in app.sources)
    assert max(app.ports.values()) > 1, "no connection was used twice"
    assert sum(1 for uses in app.ports.values() if uses == 1) >= 150
    assert result.latency_ms["p50"] <= result.latency_ms["p95"] <= result.latency_ms["max"]
    assert 0 < result.per_second <= 310


async def test_posts_carry_an_id_each_and_reconcile_with_what_was_stored() -> None:
    posts: list[Post] = []
    async with serving(App()) as app:
        result = await generate(LoadRequest(app.url, MIXED, rate=200, seconds=0.5, sources=4), on_post=posts.append)
    assert result.by_request["post"]["requests"] == len(posts) == 25
    assert len(set(app.keys)) == 25
    assert reconcile(posts, app.keys) == ([], [])
    assert reconcile(posts, app.keys[1:]) == ([app.keys[0]], [])
    assert reconcile([post.as_dict() for post in posts], [*app.keys, app.keys[3]]) == ([], [app.keys[3]])
    assert all(str(body["n"]).isdecimal() for body in app.bodies)


def test_what_got_no_answer_is_neither_lost_nor_doubled() -> None:
    unanswered = Post("k", 0.0, ok=False, status=0, failure="timeout")
    assert reconcile([unanswered], []) == ([], [])
    assert reconcile([unanswered], ["k"]) == ([], [])
    assert reconcile([unanswered], ["k", "k"]) == ([], ["k"])
    assert reconcile([unanswered], ["other", "other"]) == ([], [])


async def test_wrong_answers_are_failures_with_examples() -> None:
    app = App()
    count = itertools.count()
    app.answer = lambda _r: web.Response(status=502, text="bad gateway") if next(count) % 10 == 0 else None
    async with serving(app):
        result = await generate(LoadRequest(app.url, GET, rate=200, seconds=0.5, sources=4))
    assert result.failed == result.failures["status-502"]["count"] == 10
    assert result.failures["status-502"]["first"][0] == "GET /: bad gateway"
    assert len(result.failures["status-502"]["first"]) == 3
    assert json.loads(json.dumps(result.as_dict()))["failed"] == 10


async def test_a_kept_connection_closed_under_a_request_is_seen_and_not_sent_again() -> None:
    app = App()
    seen: Counter[int] = Counter()

    def answer(request: web.Request) -> None:
        port = request.transport.get_extra_info("peername")[1]
        seen[port] += 1
        if seen[port] == 2:
            request.transport.abort()

    app.answer = answer
    async with serving(app):
        result = await generate(LoadRequest(app.url, GET, rate=50, seconds=1, sources=1))
    assert result.failed > 0
    assert set(result.failures) <= {"closed-before-answer", "reset"}
    assert sum(app.sources.values()) == result.requests, "a request was sent again behind our back"


async def test_a_target_that_refuses_is_told_by_kind() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = await generate(LoadRequest(url, GET, rate=50, seconds=0.2, sources=2))
    assert result.failures["refused"]["count"] == result.requests == 10


async def test_the_old_versions_last_answer_after_a_flip_is_measured() -> None:
    async with serving(App()) as app:
        load = asyncio.create_task(generate(LoadRequest(app.url, GET, rate=200, seconds=1, sources=8)))
        await asyncio.sleep(0.5)
        decided = time.time()
        await asyncio.sleep(0.1)
        app.version = "v2"
        result = await load
    assert set(result.versions) == {"v1", "v2"}
    assert 20 < result.last_answer("v1", decided) < 300
    assert result.last_answer("v2", time.time()) == 0.0
    assert result.last_answer("never", decided) == 0.0
    assert result.window(decided - 10, decided)["p99"] > 0
    assert sum(sum(line["versions"].values()) for line in result.timeline) == result.requests


async def test_a_stop_ends_it_at_once_and_everything_sent_is_counted() -> None:
    stop = asyncio.Event()
    async with serving(App()) as app:
        load = asyncio.create_task(generate(LoadRequest(app.url, GET, rate=100, seconds=600, sources=4), stop=stop))
        await asyncio.sleep(0.4)
        stop.set()
        result = await asyncio.wait_for(load, 5)
    assert 0 < result.requests == sum(app.sources.values())
    assert result.seconds < 3


async def test_websockets_are_held_and_their_end_is_told_apart() -> None:
    stop = asyncio.Event()
    async with serving(App()) as app:
        request = LoadRequest(app.url, MIXED, rate=20, seconds=60, sources=4, websockets=2)
        load = asyncio.create_task(generate(request, stop=stop))
        async with asyncio.timeout(10):
            while len(app.sockets) < 2:
                await asyncio.sleep(0.01)
            polite, rude = app.sockets
            await polite.close(code=1012)
            rude._req.transport.abort()
            while len(app.sockets) < 4:
                await asyncio.sleep(0.01)
        stop.set()
        result = await load
    assert result.websockets["told"] == {"1012": 1}
    assert result.websockets["cut"] == 1
    assert result.websockets["opened"] == 4


@pytest.mark.parametrize("url", ["http://8.8.8.8", "http://[2606:4700::1]", "ftp://127.0.0.1", "127.0.0.1:80"])
async def test_only_what_is_ours_is_loaded(url: str) -> None:
    with pytest.raises(UsageError):
        await generate(LoadRequest(url, GET, rate=1, seconds=0.1))


# Profiles


def profile(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return load_profile(path)


def test_a_profile_mixes_by_weight_and_fills_in(tmp_path: Path) -> None:
    made = profile(
        tmp_path,
        '[values]\nwho = ["a", "b"]\n[[request]]\npath = "/x/{who}"\nweight = 3\n'
        '[[request]]\nname = "p"\npath = "/y"\nmethod = "POST"\nkey-header = "K"\n'
        'json = { k = ["{key}", "{other}"], i = 5 }\n',
    )
    sent = list(itertools.islice(made.sequence("run"), 8))
    assert Counter(each.kind.name for each in sent) == {"/x/{who}": 6, "p": 2}
    assert {each.path for each in sent} == {"/x/a", "/x/b", "/y"}
    posts = [each for each in sent if each.body]
    assert json.loads(posts[0].body or b"") == {"k": [posts[0].key, "{other}"], "i": 5}
    assert posts[0].headers["K"] == posts[0].key != posts[1].key
    assert [e.key for e in itertools.islice(made.sequence("run"), 8)] == [e.key for e in sent]
    assert [e.key for e in itertools.islice(made.sequence("another"), 8)] != [e.key for e in sent]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no \\[\\[request"),
        ("[[request]]\nname = 'x'\n", "incomplete"),
        ("[[request]]\npath = '/'\nwieght = 3\n", "wieght"),
        ("[verison]\n", "verison"),
        ("[[[", "cannot be read"),
    ],
)
def test_a_profile_that_says_something_unknown_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        profile(tmp_path, text)


# The program


async def test_the_program_ends_on_sigterm_and_writes_what_it_saw(tmp_path: Path) -> None:
    out, posts, status = tmp_path / "out.json", tmp_path / "posts.jsonl", tmp_path / "status.json"
    (tmp_path / "p.toml").write_text(
        '[[request]]\npath = "/"\nversion = true\n[[request]]\npath = "/items"\nmethod = "POST"\nexpect = [201]\n'
        'key-header = "Idempotency-Key"\njson = {}\n'
    )
    async with serving(App()) as app:
        words = ["--url", app.url, "--profile", tmp_path / "p.toml", "--rate", "100", "--duration", "60"]
        words += ["--out", out, "--posts-log", posts, "--status", status, "--sources", "8"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coffer.targets.load", *map(str, words), stderr=subprocess.PIPE
        )
        async with asyncio.timeout(30):
            while not status.exists():
                assert process.returncode is None, (await process.communicate())[1]
                await asyncio.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    result = json.loads(out.read_text())
    assert result["failed"] == 0
    assert result["requests"] == sum(app.sources.values()) + len(app.keys)
    assert set(result["versions"]) == {"v1"}
    assert reconcile(map(json.loads, posts.read_text().splitlines()), app.keys) == ([], [])
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")] == []


def test_the_program_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    words = ["--url", "http://8.8.8.8", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "coffer.targets.load", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("load: 8.8.8.8 is not loaded")
    assert len(done.stderr.splitlines()) == 1
