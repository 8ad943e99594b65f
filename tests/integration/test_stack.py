"""The whole stack, once: up, up again, used, disturbed, down, and nothing left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import smtplib
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import psycopg
import pytest

from coffer.stack.holders import is_free
from coffer.stack.layout import Layout
from coffer.stack.leftovers import mounts_below, processes_of
from coffer.stack.ports import load
from coffer.stack.readiness import wait_until
from coffer.stack.status import ServiceStatus, status
from tests.services.docker_engine import SOCKET

pytestmark = pytest.mark.alone
HOME = Path(__file__).parents[2]
COFFER = Path(sys.executable).parent / "coffer"
PORTS = HOME / "deployments" / "local" / "ports.toml"


@dataclass
class Stack:
    """One stack of the test's own, and its command line."""

    state: Path
    offset: int

    def coffer(self, *words: str, fails: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COFFER_STATE": str(self.state), "COFFER_PORT_OFFSET": str(self.offset)}
        done = subprocess.run([COFFER, *words], env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == fails, f"coffer {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def status(self) -> dict[str, ServiceStatus]:
        """Ask in this process: a command would spend most of its time on imports."""
        return {line.service: line for line in status(Layout(self.state, HOME), load(PORTS, self.offset))}

    def pids(self) -> dict[str, int]:
        return {name: line.pid for name, line in self.status().items() if line.pid}

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.state / "stack.json").read_text())

    @property
    def production(self) -> dict[str, Any]:
        return self.document["environments"]["production"]


def free_offset() -> int:
    for offset in random.sample(range(11_000, 22_000, 20), 100):
        if all(is_free(port) for port in ports_of(offset)):
            return offset
    pytest.fail("no free ports")


def ports_of(offset: int) -> list[int]:
    ports = load(PORTS, offset)
    tables = [ports.postgres, ports.edge_https, ports.edge_http]
    singles = [ports.prefect, ports.registry, ports.receiver, ports.smtp]
    return [*singles, *(p for t in tables for p in t.values()), *(p for r in ports.s3.values() for p in r.all())]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # Not in pytest's own folder: PostgreSQL's account has to walk there, and sockets need short paths.
    folder = Path(tempfile.mkdtemp(prefix="coffer-stack-"))
    folder.chmod(0o755)
    one = Stack(folder / "state", free_offset())
    try:
        one.coffer("stack", "up")
        yield one
    finally:
        if one.state.exists():
            one.coffer("stack", "down", "--purge")
        shutil.rmtree(folder)


def variables(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def test_everything_is_ready_and_says_where(stack: Stack) -> None:
    lines = json.loads(stack.coffer("stack", "status", "--json").stdout)["services"]
    assert {line["service"] for line in lines} == set(stack.status())
    assert len(lines) >= 18
    assert all(line["ready"] for line in lines)
    table = stack.coffer("stack", "status").stdout
    assert "postgres-production" in table
    assert f"https://localhost:{8443 + stack.offset}" in table


def test_up_again_changes_nothing(stack: Stack) -> None:
    before, document = stack.pids(), stack.document
    stack.coffer("stack", "up")
    assert stack.pids() == before
    assert stack.document == document


def test_secrets_are_private_and_the_identity_is_the_escrow_workers(stack: Stack) -> None:
    private = [*(stack.state / "secrets").iterdir(), stack.state / "stack.json", stack.state / "escrow" / "identity"]
    assert {path.name for path in private if stat.S_IMODE(path.stat().st_mode) != 0o600} <= {"recipient.pub"}
    identity = str(stack.state / "escrow" / "identity")
    told = [name for name, pid in stack.pids().items() if identity in variables(pid).values()]
    assert told == ["worker-coffer-escrow"]


def test_a_worker_hears_the_signal_that_ends_it(stack: Stack) -> None:
    pids = stack.pids()
    for name in ("worker-coffer", "worker-coffer-escrow"):
        lines = Path(f"/proc/{pids[name]}/status").read_text().splitlines()
        ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
        assert not ignored & 1 << (signal.SIGINT - 1)


def test_the_service_uses_tables_that_migrations_make(stack: Stack) -> None:
    password = stack.production["database_url"].split(":")[2].split("@")[0]
    service = {"user": "creditai", "password": password}
    with psycopg.connect(stack.production["admin_conninfo"]) as admin:
        admin.execute("CREATE TABLE probe (id bigserial PRIMARY KEY, word text)")
    with psycopg.connect(stack.production["admin_conninfo"], **service, autocommit=True) as connection:
        connection.execute("INSERT INTO probe (word) VALUES ('one')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE probe")
    with psycopg.connect(stack.production["admin_conninfo"]) as admin:
        assert admin.execute("SELECT word FROM probe").fetchall() == [("one",)]
        admin.execute("DROP TABLE probe")
    backup = f"{stack.production['backup_conninfo']} replication=true"
    with psycopg.connect(backup, autocommit=True) as replication:
        assert replication.execute("IDENTIFY_SYSTEM").fetchone()


def test_the_edge_is_trusted_and_says_that_nothing_is_released(stack: Stack) -> None:
    trust = ssl.create_default_context(cafile=stack.production["edge_ca"])
    answer = httpx.get(stack.production["edge_url"], verify=trust)
    assert answer.status_code == 503
    assert "Not released yet" in answer.text


def test_mail_is_caught(stack: Stack) -> None:
    mail = stack.document["mail"]
    with smtplib.SMTP(mail["host"], mail["port"]) as server:
        server.sendmail("a@localhost", ["b@localhost"], "Subject: probe\r\n\r\nhello")
    assert any("probe" in path.read_text() for path in Path(mail["maildir"]).rglob("new/*"))


def test_prefect_has_pools_and_deployments(stack: Stack) -> None:
    api = stack.document["prefect_api_url"]
    found = httpx.post(f"{api}/deployments/filter", json={}).json()
    assert {"production", "production-nightly"} <= {one["name"] for one in found}
    pools = {pool["name"]: pool["status"] for pool in httpx.post(f"{api}/work_pools/filter", json={}).json()}
    assert pools == {"coffer": "READY", "coffer-escrow": "READY"}


def test_what_falls_is_picked_up(stack: Stack) -> None:
    before = stack.pids()["redis-production"]
    os.kill(before, signal.SIGKILL)

    def back() -> str | None:
        line = stack.status()["redis-production"]
        return None if line.ready and line.pid != before else "not back yet"

    wait_until(back, what="redis-production", seconds=20)


def test_a_taken_port_is_named_before_anything_starts(stack: Stack, tmp_path: Path) -> None:
    other = Stack(Path(tempfile.mkdtemp(prefix="coffer-stack-")) / "state", stack.offset)
    other.state.parent.chmod(0o755)
    try:
        said = other.coffer("stack", "up", fails=17).stderr
        assert said.startswith("coffer: port ")
        assert "is in use: by process" in said
        assert len(said.splitlines()) == 1
        assert processes_of(str(other.state)) == []
    finally:
        shutil.rmtree(other.state.parent)


def test_down_leaves_nothing_and_keeps_the_data(stack: Stack) -> None:
    client = docker.DockerClient(base_url=SOCKET)
    # A container of ours in a state that nobody expects: made, never started.
    [image, *_] = client.images.list(name="coffer-base") or client.images.list()
    labels = {"coffer.managed": "true"}
    left = client.containers.create(image.id, ["true"], network=stack.production["network"], labels=labels)
    pids = stack.pids().values()
    stack.coffer("stack", "down")
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert processes_of(str(stack.state)) == []
    assert mounts_below(stack.state) == []
    assert [port for port in ports_of(stack.offset) if not is_free(port)] == []
    assert left.id not in {container.id for container in client.containers.list(all=True)}
    assert not [network.name for network in client.networks.list() if network.name.endswith(f"-{stack.offset}")]
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{8341 + stack.offset}.sock"))
    assert (stack.state / "production" / "postgres" / "PG_VERSION").exists()
    assert (stack.state / "escrow" / "identity").exists()
    stack.coffer("stack", "status", fails=17)
    stack.coffer("stack", "down")
    stack.coffer("stack", "down", "--purge")
    assert not stack.state.exists()
