"""A drill passes when all is well, and names the damage when it is not."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from psycopg import sql

from coffer.environments import load
from coffer.keys import WriterCredentials
from coffer.recovery import kit as kits
from coffer.recovery.drill import DrillRequest, run_drill
from coffer.recovery.drill_checks import cut_off as cut_off_check
from coffer.recovery.heartbeat import beat
from coffer.recovery.isolation import isolation
from coffer.recovery.questions import Questions
from coffer.recovery.report_page import page
from coffer.recovery.restore import restore_postgres
from coffer.recovery.sabotage import Sabotage
from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.redis import RedisSource
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from tests.integration.drill_image import COMMAND, containers, drill_image
from tests.integration.postgres_world import DATABASE, SERVICE, World, cluster
from tests.services.redis import Redis


class Service(World):
    """A service with rows and files, two points and the log after them."""

    image: str
    scratch: Path
    uploads: Path
    points: list[Point]

    def upload(self, content: bytes) -> None:
        name = hashlib.sha256(content).hexdigest()
        (self.uploads / name).write_bytes(content)
        (self.uploads / name).chmod(0o644)
        self.execute("INSERT INTO uploads VALUES (%s)", name)

    def request(self, target: RestoreTarget | None = None, **changes: object) -> DrillRequest:
        questions = Questions(image=self.image, command=COMMAND, database=DATABASE, role="creditai")
        request = DrillRequest(
            "production", SERVICE, self.stores, self.identity, DATABASE, target, questions=questions, seed=7,
            directory=self.scratch,
        )  # fmt: skip
        return replace(request, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with cluster() as server, drill_image() as image, Redis(tmp_path_factory.mktemp("redis")) as sessions:
        world = Service(tmp_path_factory.mktemp("world"), server, stores=2)
        world.image, world.scratch = image, server.data.parent
        world.uploads = world.folder / "uploads"
        world.uploads.mkdir(mode=0o755)
        with redis.Redis(unix_socket_path=str(sessions.socket)) as client:
            client.mset({f"session:{number}": "ada" for number in range(20)})
            client.set("session:short", "ada", px=1)
        world.sources = [RedisSource("redis", sessions.url)]
        server.ensure_role("creditai", "of production")
        world.execute("CREATE TABLE uploads (sha256 text PRIMARY KEY)")
        world.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO creditai")
        with world.receiving():
            world.upload(b"one")
            world.write(20)
            world.points = [world.take(Kind.FULL)]
            world.write(10)
            world.upload(b"two")
            world.write(10)
            world.points.append(world.take(Kind.INCREMENTAL))
            for _ in range(4):
                world.write(5)
                world.execute("SELECT pg_switch_wal()")
            beat(server.conninfo(DATABASE))
        yield world


@pytest.fixture(autouse=True)
def nothing_is_left(service: Service) -> Iterator[None]:
    yield
    assert list(service.scratch.glob("coffer-drill-*")) == []
    assert containers() == 0


def test_a_drill_to_the_end_of_the_log(service: Service) -> None:
    report = run_drill(service.request(RestoreTarget()))
    assert report.ok, report.lines()
    assert report.rows["ledger"] == 60
    assert report.facts == {"ledger": 60, "role": "creditai"}
    assert report.rto_seconds
    assert 0 < report.rto_seconds < 60
    assert 0 < report.rpo_seconds["database"] < 120
    assert set(report.rpo_seconds) == {"database", "files", "redis"}
    asked = {check.name: check.detail for check in report.checks}
    assert asked["every key of Redis is there"] == "20 keys"
    assert {"restore database", "restore files", "restore Redis", "replay, promote", "first answer"} <= {
        phase.name for phase in report.phases
    }
    document = json.loads(json.dumps(report.as_dict()))
    assert document["ok"] is True
    html = page(report)
    assert "<svg" in html
    assert "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize(("number", "uploads"), [(25, 1), (35, 2)])
def test_a_drill_to_a_moment_between_two_writes_has_its_files(service: Service, number: int, uploads: int) -> None:
    report = run_drill(service.request(RestoreTarget.at_time(service.written[number - 1].at)))
    assert report.ok, report.lines()
    assert report.point.startswith("000001")
    assert (report.rows["ledger"], report.rows["uploads"]) == (number, uploads)
    assert report.rpo_seconds["files"] == 0


def test_a_drawn_moment_is_drawn_again_by_the_same_seed(service: Service) -> None:
    report = run_drill(service.request(questions=None))
    assert report.ok, report.lines()
    moment = RestoreTarget.parse_time(report.target).time
    assert moment
    assert moment > service.points[0].finished
    sure = sum(1 for row in service.written if row.at <= moment)
    assert sure <= report.rows["ledger"] <= sure + 1, "a row is committed a little before the ledger says so"
    again = run_drill(service.request(sabotage=Sabotage.WRONG_KEY))
    assert again.target == ""
    assert report.seed == again.seed == 7


LATEST = RestoreTarget()


@pytest.mark.parametrize(
    ("sabotage", "target", "code", "named"),
    [
        (Sabotage.FLIPPED_PAGE, LATEST, 13, ["invalid page in block", "pg_amcheck found damage"]),
        (Sabotage.MISSING_SEGMENT, LATEST, 13, ["WAL segment {what} is missing"]),
        (Sabotage.MISSING_SEGMENT, None, 13, ["WAL {what} is missing"]),
        (Sabotage.WRONG_KEY, None, 12, ["does not open"]),
        (Sabotage.OLDER_REPLICA, LATEST, 13, ["history is shorter", "the newest is 000001-"]),
        (Sabotage.STALE_POINT, LATEST, 17, ["nothing new came into the vault", "5.0 h old", "promised 4.0 h"]),
        (Sabotage.TRUNCATED_PACK, LATEST, 13, ["{what}"]),
        (Sabotage.DROPPED_TABLE, LATEST, 13, ["tables are gone: {what}"]),
        (Sabotage.MISSING_FILE, LATEST, 13, ["files are gone or cut off: {what}", "every upload has its file"]),
    ],
)
def test_sabotage_fails_the_drill_and_is_named(
    service: Service, sabotage: Sabotage, target: RestoreTarget | None, code: int, named: list[str]
) -> None:
    report = run_drill(service.request(target, sabotage=sabotage))
    said = " ".join(report.damage)
    assert not report.ok, f"a drill that passes in spite of {report.sabotage} proves nothing"
    assert report.exit_code == code, said
    what = report.sabotage.partition(" ")[2]
    for each in named:
        assert each.format(what=what) in said
    assert "failed" in page(report)


def test_every_way_to_sabotage_is_tried() -> None:
    [tried] = [mark for mark in test_sabotage_fails_the_drill_and_is_named.pytestmark if mark.name == "parametrize"]
    assert {case[0] for case in tried.args[1]} == set(Sabotage)


def test_nothing_of_production_is_in_reach_of_what_was_restored(
    service: Service, request: pytest.FixtureRequest
) -> None:
    """From inside the restored cluster, as its superuser, production answers neither by TCP nor by its socket."""
    sockets, point = service.server.socket_dir, service.points[-1]
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listener.close)
    reach = [
        f"exec 3<>/dev/tcp/127.0.0.1/{listener.getsockname()[1]}",
        f"test -S {sockets}/.s.PGSQL.{service.server.port}",
    ]
    assert [shell(each) for each in reach] == [0, 0], "here both are in reach"
    reader = service.reader()
    with Scratch(service.scratch) as scratch:
        cut_off = isolation(scratch.user, scratch.folder, (sockets,))
        assert cut_off.complete
        scratch.server.wrapper = cut_off.wrapper
        with WalServer(WalFetcher(reader, service.cluster), scratch.folder / "wal", scratch.user) as wal:
            restore_postgres(
                reader, point, scratch.data, LATEST, restore_command=wal.restore_command, user=scratch.user
            )
            scratch.replay(wal, timeout=60)
        with scratch.server.connect() as connection:
            connection.execute("CREATE TEMPORARY TABLE said (line text)")
            for each in reach:
                program = f"bash -c '{each}' 2>/dev/null; echo $?"
                connection.execute(sql.SQL("COPY said FROM PROGRAM {}").format(sql.Literal(program)))
            said = [row[0] for row in connection.execute("SELECT line FROM said").fetchall()]
        assert said == ["1", "1"]
        assert "hidden" in cut_off_check(scratch, cut_off)


def shell(command: str) -> int:
    return subprocess.run(["bash", "-c", command], stderr=subprocess.DEVNULL).returncode


def test_the_service_s_no_fails_the_drill(service: Service) -> None:
    with service.receiving():
        service.execute("INSERT INTO uploads VALUES ('lost')")
        service.write()
    report = run_drill(service.request(RestoreTarget()))
    assert not report.ok
    assert report.rto_seconds is None
    assert "every upload has its file" in " ".join(report.damage)


def environment(service: Service) -> Path:
    """Write an environment file whose references are plain files."""
    folder = service.folder
    (folder / "vault.json").write_text(json.dumps({"stores": service.urls, "writer_file": str(service.writer_file)}))
    (folder / "registry.json").write_text(json.dumps({"address": "registry.example"}))
    (folder / "host.json").write_text(json.dumps({"docker": "unix:///var/run/docker.sock"}))
    (folder / "url").write_text(f"postgresql://creditai:unknown@/{DATABASE}?host=/run/postgres")
    path = folder / "production.toml"
    path.write_text(f"""
[service]
name = "{SERVICE}"
image = "registry.example/creditai"
port = 3000
consistency = {json.dumps(list(COMMAND))}
[service.secrets]
DATABASE_URL = "file:{folder / "url"}"
[service.mounts]
"/run/postgres" = "sockets/postgres:ro"
"/data/uploads" = "uploads"
[target]
kind = "docker-host"
hosts = ["file:{folder / "host.json"}"]
[release]
registry = "file:{folder / "registry.json"}"
[recovery]
vault = "file:{folder / "vault.json"}"
sources = ["postgres:file:{folder / "url"}"]
""")
    return path


def coffer_drill(service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [
        str(Path(sys.executable).with_name("coffer")), "drill", "--environment", str(environment(service)),
        "--identity", str(service.identity), "--directory", str(service.scratch), "--json", *options,
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True)


def test_the_command_runs_a_drill_without_a_prefect_server(service: Service) -> None:
    moment = service.written[9].at.isoformat()
    html = service.folder / "report.html"
    refused = coffer_drill(service, "--image", service.image, "--time", moment)
    assert refused.returncode == 16, "before the first point"
    moment = service.written[34].at.isoformat()
    done = coffer_drill(service, "--image", service.image, "--time", moment, "--report", str(html))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["rows"]["ledger"] == 35
    assert document["facts"]["role"] == "creditai"
    assert "first correct answer" in html.read_text()


def test_the_command_ends_with_the_damage_s_code(service: Service) -> None:
    done = coffer_drill(service, "--sabotage", "wrong-key")
    assert done.returncode == 12
    assert json.loads(done.stdout)["ok"] is False
    assert "Traceback" not in done.stderr


def test_the_kit_and_the_key_are_enough(service: Service) -> None:
    """Neither the environment's file nor Prefect is there: what is not in the kit is in a file that people keep."""
    path = environment(service)
    settings = load(str(path))
    credentials = WriterCredentials.load(service.writer_file)
    kit, secrets = service.folder / "kit.txt", service.folder / "secrets.json"
    kit.write_text(kits.render(kits.make_kit(settings, credentials), credentials, kits.format_document()))
    kept = {"database": f"file:{service.folder / 'url'}"}
    secrets.write_text(json.dumps({kept["database"]: (service.folder / "url").read_text()}))
    for name in ("production.toml", "vault.json", "host.json", "registry.json", "url"):
        (service.folder / name).rename(service.folder / f"gone-{name}")
    try:
        argv = [
            str(Path(sys.executable).with_name("coffer")), "drill", "--kit", str(kit), "--secrets", str(secrets),
            "--identity", str(service.identity), "--directory", str(service.scratch), "--image", service.image,
            "--seed", "3", "--json",
        ]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, cwd=service.scratch)
    finally:
        for name in ("production.toml", "vault.json", "host.json", "registry.json", "url"):
            (service.folder / f"gone-{name}").rename(service.folder / name)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["environment"] == "production"
