"""A small service at its place: HAProxy, instance, PostgreSQL, Redis, uploads; a vault; a ledger outside of it all."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from coffer import environments
from coffer.environments import Environment
from coffer.errors import Unreachable
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.recovery.recover import RecoverRequest, Recovery
from coffer.recovery.recover_keeper import OwnKeeper, database_answers, end, postmaster, server_of
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.recover_redis import answers
from coffer.recovery.taking import take_point
from coffer.recovery.target import RestoreTarget
from coffer.release.observed import Colour
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.stack.readiness import wait_until
from coffer.vault.creation import create_vault
from coffer.vault.points import Point
from coffer.vault.stores import open_store
from coffer.vault.writer import VaultWriter
from tests.integration import docker_host_world

DATABASE = "app"
# Hashes every upload and sees that both sockets are where the service looks for them.
_QUESTIONS = """
const fs = require("fs"), crypto = require("crypto");
const sha = (name) => crypto.createHash("sha256").update(fs.readFileSync("/data/uploads/" + name)).digest("hex");
const wrong = fs.readdirSync("/data/uploads").filter((name) => sha(name) !== name);
const sockets = ["/run/redis/redis.sock", "/run/postgres"].filter((path) => !fs.existsSync(path));
console.log(JSON.stringify({ ok: !wrong.length && !sockets.length && !process.env.LIE, facts: {}, questions: [
  { name: "every file is what its name says", ok: !wrong.length, detail: wrong.join() },
  { name: "sockets are there", ok: !sockets.length, detail: sockets.join() }]}));
"""


@dataclass
class Committed:
    """What the outside world was told: `rows` by number with the time of the answer; uploads and sessions by name."""

    rows: dict[int, float] = field(default_factory=dict)
    uploads: dict[str, float] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)


class Disaster:
    """`place`, `environment`, `file`; `load`, `strike`, `recovery`, `left` do the work."""

    between: datetime

    def __init__(self, host: docker_host_world.World, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.committed = Committed()
        self.urls = [f"file://{folder / f'store-{number}'}" for number in range(2)]
        self.identity, self.writer_file = folder / "identity", folder / "writer"
        generate_identity(self.identity)
        create_vault(
            [open_store(url) for url in self.urls], [Recipient.load(folder / "identity.pub")], self.writer_file
        )
        self.file = folder / "production.toml"
        self.write_environment()
        self.place = RecoveryPlace.of(self.environment)
        self.keeper = OwnKeeper(self.place)
        self.number = 0

    @property
    def environment(self) -> Environment:
        return environments.load(str(self.file))

    @property
    def image(self) -> str:
        return str(self.host.images["v1"])

    def write_environment(self, settings: str = "", more: str = "") -> None:
        self._write("vault.json", {"stores": self.urls, "writer_file": str(self.writer_file)})
        own = self.host.host.settings
        self._write("host.json", {
            "docker": own.docker, "network": own.network, "directory": str(own.directory),
            "haproxy_socket": str(own.haproxy_socket), "edge_url": own.edge_url, "edge_ca": own.edge_ca,
        })  # fmt: skip
        self._write("registry.json", {"address": self.host.spec.repository.partition("/")[0]})
        (self.folder / "url").write_text(f"postgresql://tiny:of-production@/{DATABASE}?host=/run/postgres&port=5499")
        backup = f"host={own.directory}/sockets/postgres port=5499 user=backup password=of-backup dbname={DATABASE}"
        (self.folder / "backup").write_text(backup)
        directory = own.directory
        self.file.write_text(f"""
[service]
name = "tiny"
image = "{self.host.spec.repository}"
port = 3000
smoke = ["/"]
consistency = {json.dumps(["node", "-e", _QUESTIONS])}
memory = "256m"
user = 1001
[service.settings]
MODE = "production"
{settings}
[service.secrets]
DATABASE_URL = "file:{self.folder / "url"}"
[service.mounts]
"/run/postgres" = "sockets/postgres:ro"
"/run/redis" = "sockets/redis:ro"
"/data/uploads" = "uploads"
[target]
kind = "docker-host"
hosts = ["file:{self.folder / "host.json"}"]
[release]
registry = "file:{self.folder / "registry.json"}"
[recovery]
vault = "file:{self.folder / "vault.json"}"
sources = ["postgres:file:{self.folder / "backup"}", "files:{directory / "uploads"}",
           "redis:unix://{directory / "sockets/redis/redis.sock"}", "references:production.toml",
           "environment:production.toml"]
rto = "5 min"
rpo = "10 s"
{more}
""")

    def begin(self) -> None:
        """Bring the service up for the first time."""
        server = server_of(self.place)
        server.initialise()
        self.place.uploads.mkdir()
        self.place.uploads.chmod(0o770)
        self.place.redis.mkdir()
        self.start_programs()
        server.ensure_role("tiny", "of-production")
        server.ensure_role("backup", "of-backup", replication=True)
        server.ensure_database(DATABASE, "tiny")
        with server.connect() as connection:
            connection.execute("GRANT pg_monitor, pg_read_all_settings TO backup")
            connection.execute("GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO backup")
        with self.connect() as connection:
            connection.execute("CREATE TABLE ledger (number int PRIMARY KEY, upload text, filler text)")
            connection.execute("CREATE TABLE heartbeat (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz)")
        self.host.release("v1")

    def start_programs(self) -> None:
        for role, ready in (("postgres", lambda: database_answers(self.place)), ("redis", self._redis_answers)):
            self.keeper.start(role)
            wait_until(lambda ready=ready: None if ready() else "silent", what=role, seconds=30)  # type: ignore[misc]

    def connect(self) -> psycopg.Connection[Any]:
        return server_of(self.place).connect(DATABASE)

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.place.redis_socket), decode_responses=True)

    def write(self) -> None:
        """One request of the service: a session, a file, a row that names it; noted once it is answered."""
        self.number += 1
        content = f"document {self.number}".encode()
        name = hashlib.sha256(content).hexdigest()
        path = self.place.uploads / name
        path.write_bytes(content)
        path.chmod(0o644)
        with self.redis() as sessions:
            sessions.set(f"session:{self.number}", self.number)
        with self.connect() as connection:
            connection.execute("INSERT INTO heartbeat (at) VALUES (clock_timestamp())")
            connection.execute("INSERT INTO ledger VALUES (%s, %s, repeat('x', 500))", [self.number, name])
        now = time.time()
        self.committed.rows[self.number] = self.committed.uploads[name] = now
        self.committed.sessions[f"session:{self.number}"] = now

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Ship the log, as the receiver's service does; it ends when the database goes."""
        stop = threading.Event()
        writer = VaultWriter.open([open_store(url) for url in self.urls], WriterCredentials.load(self.writer_file))
        receiver = WalReceiver((self.folder / "backup").read_text(), writer, slot="coffer", piece_seconds=0.2)

        def run() -> None:
            with suppress(Unreachable):  # the database is struck while it works
                receiver.run(stop)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()

    def take(self, kind: str = "full") -> Point:
        return take_point(self.environment, kind, facts={"image": self.image})

    def wait_shipped(self) -> None:
        with self.connect() as connection:
            end_of_log = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            query = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= %s::pg_lsn"
            deadline = time.monotonic() + 30
            while connection.execute(query, end_of_log).fetchone() == (0,):
                assert time.monotonic() < deadline, "the receiver does not catch up"
                time.sleep(0.02)

    def strike(self) -> None:
        """Delete everything under the feet of what runs: data folder, uploads, Redis, containers."""
        pid = postmaster(self.place)
        for folder in self.place.data_folders():
            shutil.rmtree(folder, ignore_errors=True)
        for colour in Colour:
            self.host.host.containers.remove(self.host.spec, colour)
        if pid is not None:
            end(pid, signal.SIGQUIT)
        with self.redis() as connection:
            connection.shutdown(nosave=True)  # type: ignore[no-untyped-call]
        for folder in self.place.data_folders():
            shutil.rmtree(folder, ignore_errors=True)

    def stop_programs(self) -> None:
        for role in ("redis", "postgres"):
            self.keeper.stop(role)

    def request(self, target: RestoreTarget | None = None, **more: Any) -> RecoverRequest:
        return RecoverRequest(self.environment, Identity.load(self.identity), "coffer recover again", target, **more)

    def recovery(self, target: RestoreTarget | None = None, **more: Any) -> Recovery:
        found = Recovery(self.request(target, **more))
        found.confirm("ada")
        return found

    def left(self) -> Committed:
        """Return what is there now, read from the places themselves."""
        with self.connect() as connection:
            connection.execute("SET enable_indexscan = off; SET enable_indexonlyscan = off")
            rows = {int(number): 0.0 for (number,) in connection.execute("SELECT number FROM ledger").fetchall()}
            named = [str(name) for (name,) in connection.execute("SELECT upload FROM ledger").fetchall()]
        for name in named:
            if (self.place.uploads / name).exists():
                assert hashlib.sha256((self.place.uploads / name).read_bytes()).hexdigest() == name
        uploads = {path.name: 0.0 for path in self.place.uploads.iterdir()}
        with self.redis() as connection:
            sessions = {str(key): 0.0 for key in connection.keys("session:*")}
        return Committed(rows, uploads, sessions)

    def _redis_answers(self) -> bool:
        return answers(self.place.redis_socket)

    def _write(self, name: str, document: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(document))


@contextmanager
def disaster(folder: Path) -> Iterator[Disaster]:
    with docker_host_world.world() as host:
        world = Disaster(host, folder)
        try:
            world.begin()
            yield world
        finally:
            world.stop_programs()
            world.host.reset()


def moment() -> datetime:
    return datetime.now(UTC)
