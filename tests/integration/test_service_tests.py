"""An image is tested from inside and outside, on a real engine, PostgreSQL and Redis; bad ones are caught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import psycopg
import pytest
import redis

from coffer.release.images import ImageReference
from coffer.release.outcomes import TestOutcome, TestStatus
from coffer.release.service import SecretReference, ServiceSpec
from coffer.stack import base_image
from coffer.targets.image_builder import build_and_push
from coffer.targets.load import Profile, RequestKind
from coffer.targets.registry import Registry as RegistryClient
from coffer.targets.service_tests import ServiceTests, find_tests_image, run_tests
from coffer.targets.throwaway_services import throwaway_services
from tests.services.registry import Registry, registry_server

pytestmark = pytest.mark.alone
__all__ = ["registry_server"]

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS builder
WORKDIR /app
COPY . .
FROM ${BASE_IMAGE} AS runner
WORKDIR /app
COPY server.mjs ./
COPY db ./db
USER 1001:1001
CMD ["node", "server.mjs"]
"""
# Ready only if it reaches both throw-away services by the addresses it was given; root must be read-only.
SERVER = """\
import http from "node:http";
import net from "node:net";
import { writeFileSync } from "node:fs";
const database = process.env.DATABASE_URL.split("host=")[1] + "/.s.PGSQL.5432";
const redis = process.env.REDIS_URL.replace("unix://", "");
const reach = (path) => new Promise((yes) => {
  const socket = net.connect(path, () => { socket.destroy(); yes(true); });
  socket.on("error", () => yes(false));
});
let writable = true;
try { writeFileSync("/app/x", "x"); } catch { writable = false; }
writeFileSync("/data/uploads/x", "x");
const server = http.createServer(async (request, response) => {
  if (request.url === "/health") {
    const ready = (await reach(database)) && (await reach(redis)) && !writable && process.getuid() === 1001;
    response.writeHead(ready ? 200 : 503).end();
  } else response.writeHead(BROKEN ? 500 : 200).end("ok");
});
server.listen(3000);
process.on("SIGTERM", () => { if (!DEAF) server.close(() => process.exit(0)); });
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def base(engine: docker.DockerClient) -> str:
    return base_image.ensure_node_base(engine, cache=base_image.default_cache(), report=lambda _line: None)


@pytest.fixture
def service(registry_server: Registry) -> ServiceSpec:
    return ServiceSpec(
        name="evidence",
        environment="production",
        repository=f"{registry_server.address}/evidence",
        port=3000,
        health="/health",
        memory="256m",
        start_within=20.0,
        stop_within=3.0,
        migrations="/app/db/migrations",
        secrets={
            "DATABASE_URL": SecretReference("block:database/production#url"),
            "REDIS_URL": SecretReference("block:redis/production#url"),
        },
        mounts={
            "/run/postgres": "sockets/postgres:ro",
            "/run/redis": "sockets/redis:ro",
            "/data/uploads": "uploads",
        },
    )


@pytest.fixture
def build(engine, base, service, tmp_path: Path):
    def make(**changes: str) -> ImageReference:
        files = {
            "Dockerfile": DOCKERFILE,
            "server.mjs": SERVER.replace("BROKEN", "false").replace("DEAF", "false"),
            "unit.mjs": "console.log('units are fine');\n",
            "integration.mjs": (
                "import net from 'node:net'; import { userInfo } from 'node:os';\n"
                "net.connect(process.env.REDIS_URL.replace('unix://', ''), () => process.exit(0));\n"
            ),
            "db/migrations/0001_first.sql": "-- migrate:up\nCREATE TABLE a (id int);\n-- migrate:down\nDROP TABLE a;\n",
            **changes,
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return build_and_push(
            engine, tmp_path, service.repository, build_args={"BASE_IMAGE": base}, labels={}
        ).reference

    return make


@pytest.fixture
def run(service: ServiceSpec, registry_server: Registry):
    def go(image: ImageReference, **changes) -> dict[str, TestOutcome]:
        with RegistryClient(registry_server.address) as registry:
            stage = find_tests_image(registry, image)
        tests = ServiceTests(
            docker="unix:///var/run/docker.sock",
            image=image,
            tests_image=stage,
            service=service,
            unit=("node", "unit.mjs"),
            integration=("node", "integration.mjs"),
            profile=Profile((RequestKind("page", "/"),)),
            load_seconds=2.0,
            p95_ms=5_000.0,  # this machine is shared while tests run; the limit itself is tested below
            requests_per_minute=300.0,
        )
        return {outcome.name: outcome for outcome in run_tests(replace(tests, **changes))}

    return go


def leftovers(engine: docker.DockerClient) -> list[str]:
    found = engine.containers.list(all=True, filters={"label": "coffer.tests"})
    return [each.name for each in found if each.name.startswith("evidence-")] + [
        each.name for each in engine.networks.list(filters={"label": "coffer.tests"})
    ]


def test_a_good_image_passes_everything_and_nothing_is_left(engine, build, run) -> None:
    outcomes = run(build())
    assert {name: str(outcome.status) for name, outcome in outcomes.items()} == {
        "unit": "passed",
        "migrations": "passed",
        "integration": "passed",
        "load": "passed",
        "start-and-stop": "passed",
    }, outcomes
    assert outcomes["load"].figures["requests"] >= 40
    assert outcomes["load"].figures["failed"] == 0
    assert 0 < outcomes["start-and-stop"].figures["start_seconds"] < 20
    assert outcomes["start-and-stop"].figures["stop_seconds"] < 3
    assert outcomes["migrations"].required is False
    assert outcomes["unit"].required is True
    assert leftovers(engine) == []


def test_failing_suites_and_a_failing_load_are_told_apart(build, run) -> None:
    broken = SERVER.replace("BROKEN", "true").replace("DEAF", "false")
    outcomes = run(build(**{"server.mjs": broken, "unit.mjs": "console.log('two is not three'); process.exit(3);\n"}))
    assert outcomes["unit"].status is TestStatus.FAILED
    assert "ended with 3: two is not three" in outcomes["unit"].detail
    assert outcomes["integration"].status is TestStatus.PASSED
    assert outcomes["load"].status is TestStatus.FAILED
    assert "status-500" in outcomes["load"].detail
    assert outcomes["start-and-stop"].status is TestStatus.PASSED


def test_an_image_that_does_not_start_is_caught_with_its_last_words(engine, build, run) -> None:
    outcomes = run(build(**{"server.mjs": "console.error('no such module'); process.exit(1);\n"}))
    assert outcomes["start-and-stop"].status is TestStatus.FAILED
    assert "no such module" in outcomes["start-and-stop"].detail
    assert outcomes["load"].status is TestStatus.NOT_RUN
    assert leftovers(engine) == []


def test_an_image_that_is_deaf_to_sigterm_is_caught(build, run) -> None:
    deaf = SERVER.replace("BROKEN", "false").replace("DEAF", "true")
    outcomes = run(build(**{"server.mjs": deaf}), p95_ms=0.001)
    assert outcomes["start-and-stop"].status is TestStatus.FAILED
    assert "had to be killed" in outcomes["start-and-stop"].detail
    assert outcomes["load"].status is TestStatus.FAILED
    assert "p95" in outcomes["load"].detail


def test_a_migration_that_fails_leaves_the_rest_not_run(build, run) -> None:
    outcomes = run(
        build(**{"db/migrations/0001_first.sql": "-- migrate:up\nCREATE TABEL a (id int);\n-- migrate:down\n"})
    )
    assert outcomes["migrations"].status is TestStatus.FAILED
    assert "syntax error" in outcomes["migrations"].detail
    for name in ("integration", "start-and-stop", "load"):
        assert outcomes[name].status is TestStatus.NOT_RUN
        assert outcomes[name].required


def test_without_the_tests_stage_its_own_tests_did_not_run(build, run) -> None:
    outcomes = run(build(), tests_image=None)
    assert outcomes["unit"].status is outcomes["integration"].status is TestStatus.NOT_RUN
    assert outcomes["start-and-stop"].status is TestStatus.PASSED


def test_throw_away_services_are_real_and_leave_nothing() -> None:
    with throwaway_services("shop", {"/run/postgres": "sockets/postgres:ro", "/files": "files"}, 1001) as services:
        with psycopg.connect(services.conninfo, autocommit=True) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("shop",)
        with redis.Redis(unix_socket_path=str(services.directory / "sockets/redis/redis.sock")) as client:
            assert client.ping()
        assert (services.directory / "files").stat().st_uid == 1001
        assert "host=/run/postgres" in services.database_url
    assert not services.directory.exists()
