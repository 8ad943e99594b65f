"""A real Redis goes into a point while it is written, and comes back with its sessions and their ends."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from coffer.errors import NotAllowed, Unreachable
from coffer.recovery.restore_redis import restore_redis
from coffer.sources.redis import RedisSource
from tests.unit.vault.making import World

pytestmark = pytest.mark.integration
SECRET = "of the backup"


@contextmanager
def server(folder: Path, *options: str) -> Iterator[Any]:
    """Run redis-server on a folder and a socket; yields a client."""
    folder.mkdir(exist_ok=True, parents=True)
    with tempfile.TemporaryDirectory(prefix="coffer-redis-") as sockets:
        socket = f"{sockets}/redis.sock"
        words = ["redis-server", "--dir", str(folder), "--unixsocket", socket, *options]
        if "--tls-port" not in options:
            words += ["--port", "0"]
        with (folder / "log").open("w") as log, subprocess.Popen(words, stdout=log) as process:
            client = redis.Redis(unix_socket_path=socket, decode_responses=True)
            client.socket = socket  # type: ignore[attr-defined]
            try:
                deadline = time.monotonic() + 20
                while not _answers(client):
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < deadline, "Redis does not start"
                    time.sleep(0.02)
                yield client
            finally:
                client.close()
                process.terminate()
                process.wait(20)


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_sessions_come_back_with_their_ends_whatever_the_server_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    with server(tmp_path / "origin", "--appendonly", "yes") as origin:
        for number in range(500):
            origin.set(f"session:{number}", f"user {number}" * 20, ex=3600 + number)
        origin.set("for ever", "value")
        origin.set("short", "gone soon", px=1)
        origin.hset("hash", mapping={"a": "1", "b": "2"})
        other = redis.Redis(unix_socket_path=origin.socket, db=3)
        other.set("elsewhere", "1")
        time.sleep(0.01)
        before = time.time()
        point = world.back_up(RedisSource("redis", f"unix://{origin.socket}"))  # type: ignore[arg-type]
        ends = {key: before + origin.ttl(key) for key in ("session:0", "session:499")}
        assert origin.info("replication")["connected_slaves"] == 0
    facts = point.sources[0].facts
    assert facts["keys"]["db3"] == 1  # type: ignore[index, call-overload]
    assert len(str(facts["replication_id"])) == 40
    assert not any(b"user 1" in data for data in world.memory.objects.values())
    for appendonly in ("yes", "no"):
        data = tmp_path / f"restored-{appendonly}"
        restored = restore_redis(world.reader(), point, data)
        assert restored.facts["version"] == facts["version"]
        with server(data, "--appendonly", appendonly) as back:
            assert back.get("short") is None
            assert back.dbsize() == 502
            assert back.get("session:7") == "user 7" * 20
            assert back.ttl("for ever") == -1
            assert back.hgetall("hash") == {"a": "1", "b": "2"}
            assert back.info("keyspace")["db3"]["keys"] == 1
            for key, end in ends.items():
                assert abs(time.time() + back.ttl(key) - end) < 5
            back.set("written after", "1")
        with server(data, "--appendonly", appendonly) as again:
            assert again.get("written after") == "1"


def test_a_copy_is_one_moment_while_others_write(tmp_path: Path) -> None:
    world, stop = World(tmp_path), threading.Event()
    with server(tmp_path / "origin") as origin:
        origin.mset({f"filler:{number}": "x" * 1000 for number in range(20_000)})

        def write() -> None:
            with redis.Redis(unix_socket_path=origin.socket) as client:
                while not stop.is_set():
                    with client.pipeline(transaction=True) as both:
                        both.incr("a").incr("b").execute()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for diskless in (False, True):
                if diskless:
                    origin.config_set("repl-diskless-sync-delay", 0)
                source = RedisSource("redis", f"unix://{origin.socket}", diskless=diskless)
                point = world.back_up(source)  # type: ignore[arg-type]
                data = tmp_path / f"restored-{diskless}"
                restore_redis(world.reader(), point, data)
                with server(data) as back:
                    assert back.get("a") == back.get("b")
                    assert back.get("filler:19999") == "x" * 1000
        finally:
            stop.set()
            thread.join()


def test_an_acl_user_over_tls_with_a_certificate_that_is_verified(tmp_path: Path) -> None:
    world = World(tmp_path)
    key, certificate, foreign = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "foreign.pem"
    for out in (foreign, certificate):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out",
             str(out)],
            check=True, capture_output=True,
        )  # fmt: skip
    port = _free_port()
    tls = ("--tls-port", str(port), "--port", "0", "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
           "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")  # fmt: skip
    with server(tmp_path / "origin", *tls) as origin:
        origin.set("a", "1")
        origin.acl_setuser(
            "backup", enabled=True, passwords=[f"+{SECRET}"], commands=["+psync", "+replconf", "+info", "+ping"]
        )
        origin.acl_setuser("nobody", enabled=True, passwords=[f"+{SECRET}"], commands=["+replconf"])

        def url(user: str, authority: Path, password: str = SECRET) -> str:
            return f"rediss://{user}:{password}@localhost:{port}/0?ssl_ca_certs={authority}"

        point = world.back_up(RedisSource("redis", url("backup", certificate)))  # type: ignore[arg-type]
        assert point.sources[0].facts["keys"] == {"db0": 1}
        for refused in (url("nobody", certificate), url("backup", certificate, "wrong")):
            with pytest.raises(NotAllowed) as denied:
                world.back_up(RedisSource("redis", refused))  # type: ignore[arg-type]
            assert SECRET not in str(denied.value)
        with pytest.raises(Unreachable):
            world.back_up(RedisSource("redis", url("backup", foreign)))  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        world.back_up(RedisSource("redis", url("backup", certificate)))  # type: ignore[arg-type]
    assert len(world.reader().points()) == 1


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
