"""`coffer doctor` on a real service: all is well, then one thing after the other is not, and it says which."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coffer.environments import load
from coffer.recovery.taking import take_point
from coffer.recovery.watch import point_taken
from coffer.vault.stores import open_store
from tests.integration.postgres_world import DATABASE, SERVICE, World, cluster
from tests.services.s3 import S3

COFFER = str(Path(sys.executable).with_name("coffer"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cluster() as server:
        world = World(tmp_path_factory.mktemp("doctor"), server, stores=2)
        (world.folder / "conninfo").write_text(world.conninfo)
        (world.folder / "host.json").write_text(json.dumps({"docker": "unix:///var/run/docker.sock"}))
        with world.receiving():
            world.write(5)
            take_point(load(str(environment(world))), "full", facts={})
            world.write(5)
            yield world


def environment(world: World, *, stores: list[str] | None = None, extra: str = "") -> Path:
    vault = {"stores": stores or world.urls, "writer_file": str(world.writer_file)}
    (world.folder / "vault.json").write_text(json.dumps(vault))
    path = world.folder / "production.toml"
    path.write_text(f"""
[service]
name = "{SERVICE}"
image = "registry.example/creditai"
port = 3000
[target]
kind = "docker-host"
hosts = ["file:{world.folder / "host.json"}"]
[recovery]
vault = "file:{world.folder / "vault.json"}"
sources = ["postgres:file:{world.folder / "conninfo"}"]
{extra}
""")
    return path


def doctor(path: Path, *options: str) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    """Return exit code, findings by what was looked at, and all that was printed."""
    argv = [COFFER, "doctor", "--environment", str(path), "--json", *options]
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    surroundings |= {"COFFER_STATE": str(path.parent / "no-stack")}
    surroundings |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=surroundings)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["what"], []).append(finding)
    return done.returncode, found, done.stdout + done.stderr


def states(found: dict[str, list[dict[str, Any]]], what: str) -> list[str]:
    return [finding["state"] for finding in found[what]]


def test_all_is_well_and_no_secret_is_shown(world: World) -> None:
    world.identity.chmod(0o600)
    code, found, printed = doctor(environment(world), "--identity", str(world.identity))
    assert code == 0, printed
    assert states(found, "slot") == ["ok"]
    assert states(found, "log") == ["ok"]
    assert states(found, "identity") == ["ok"]
    assert states(found, "clock") == ["ok", "ok"]
    assert states(found, "recovery point") == ["ok"]
    assert states(found, "recovery time") == ["ok"]
    assert states(found, "schedules") == ["warn"]
    assert "no Prefect server is known" in found["schedules"][0]["said"]
    assert states(found, "dead man's switch") == ["warn"]
    assert all(finding["advice"] for each in found.values() for finding in each if finding["state"] != "ok")
    for secret in ("of the backup", world.identity.read_text(), world.writer_file.read_text()):
        assert secret not in printed


def test_people_get_a_line_each(world: World) -> None:
    argv = [COFFER, "doctor", "--environment", str(environment(world))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) >= 8
    assert all(line.startswith(("ok    production  ", "warn  production  ", "FAIL  production  ")) for line in lines)


def test_a_broken_promise_fails_and_says_what_to_do(world: World) -> None:
    time.sleep(0.01)
    code, found, _ = doctor(environment(world, extra='rpo = "1 ms"\nrto = "1 s"'))
    assert code == 14
    assert states(found, "recovery point") == ["fail"]
    assert states(found, "recovery time") == ["fail"]
    assert "before any drill" in found["recovery time"][0]["said"]


def test_a_store_that_is_away_is_named_and_the_rest_is_seen(world: World) -> None:
    gone = f"file://{world.folder / 'no-such-store'}"
    code, found, _ = doctor(environment(world, stores=[world.urls[0], gone]))
    assert code in (14, 17)
    assert found[gone][0]["state"] == "fail"
    assert states(found, world.urls[0]) == ["warn"]
    assert states(found, "log") == ["ok"]


def test_a_store_that_never_answers_costs_no_more_than_the_limit(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"s3://nobody?endpoint=http://127.0.0.1:{silent.getsockname()[1]}&region=us-east-1"
        began = time.monotonic()
        code, found, printed = doctor(environment(world, stores=[url, *world.urls]), "--time-limit", "3")
        assert time.monotonic() - began < 30
    assert code in (14, 17)
    assert "no answer within 3 s" in printed
    assert states(found, "slot") == ["ok"]


def test_a_hole_in_the_log_is_found(world: World) -> None:
    for _ in range(3):
        world.write()
        world.execute("SELECT pg_switch_wal()")
    places = [Path(url.removeprefix("file://")) / "wal" / world.cluster for url in world.urls]
    hole = wait_for_segments(places, 4)[-2]
    aside = [world.folder / f"aside-{number}" for number in range(len(places))]
    for place, kept in zip(places, aside, strict=True):
        (place / hole).rename(kept)
    try:
        code, found, _ = doctor(environment(world))
        assert code == 14
        assert hole in found["log"][0]["said"]
        assert "full point" in found["log"][0]["advice"]
    finally:
        for place, kept in zip(places, aside, strict=True):
            kept.rename(place / hole)


def wait_for_segments(places: list[Path], count: int) -> list[str]:
    deadline = time.monotonic() + 30
    while True:
        there = [{path.name for path in place.iterdir() if len(path.name) == 24} for place in places]
        whole = sorted(set.intersection(*there))
        if len(whole) >= count:
            return whole
        assert time.monotonic() < deadline, f"the log is not shipped: {whole}"
        time.sleep(0.05)


def test_a_point_writes_the_metrics_that_alert_without_prefect(world: World) -> None:
    file = world.folder / "metrics" / "production.prom"
    settings = load(str(environment(world, extra=f'[recovery.watch]\nmetrics = "{file}"')))
    outlook = point_taken(settings)
    assert outlook is not None
    assert outlook.known.wal_since > 0
    text = file.read_text()
    assert f'coffer_promise_state{{environment="production",service="{SERVICE}",promise="recovery point"}} 0' in text
    assert "coffer_point_timestamp_seconds{" in text


def test_tables_are_remembered_by_the_point(world: World) -> None:
    [point] = world.reader().points()
    tables = point.facts["tables"]
    assert isinstance(tables, dict)
    assert tables["postgres"] == {"database": DATABASE, "names": ["public.heartbeat", "public.ledger"]}


def test_whether_an_identity_may_delete_is_found_out_without_deleting(s3: S3) -> None:
    writer = open_store(s3.url("doctor", profile="writer"), credentials_file=s3.credentials_file)
    admin = open_store(s3.url("doctor", profile="admin"), credentials_file=s3.credentials_file)
    writer.put("config/x", b"kept")
    assert writer.may_delete() is False  # type: ignore[attr-defined]
    assert admin.may_delete() is True  # type: ignore[attr-defined]
    assert writer.get("config/x") == b"kept"
    assert [info.name for info in writer.list()] == ["config/x"]
    assert list(admin.hidden()) == []
