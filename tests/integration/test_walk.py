"""Both DAGs, end to end, on one stack: what people start, approve, break and get back. In the order of the file."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from coffer.prefect_api import FlowRun
from coffer.stack.readiness import wait_until
from tests.services.running_house import CREDITAI, RunningHouse, running_house

pytestmark = pytest.mark.alone

__all__ = ["running_house"]  # a fixture
_MINUTE = 60.0


@pytest.fixture(scope="module")
def edge(running_house: RunningHouse) -> httpx.Client:
    trust = ssl.create_default_context(cafile=running_house.production["edge_ca"])
    return httpx.Client(base_url=running_house.production["edge_url"], verify=trust, timeout=15, trust_env=False)


def serves(edge: httpx.Client) -> str:
    return str(edge.get("/api/version").raise_for_status().json()["version"])


def wait(house: RunningHouse, run: str, state: str, minutes: float = 5) -> FlowRun:
    ended = house.api.wait(run, timeout=minutes * _MINUTE, until=lambda seen: seen.finished or seen.type == state)
    assert ended.type == state, f"{ended.state}: {ended.message}\n{house.story(run)}"
    return ended


def start(house: RunningHouse, deployment: str, **parameters: object) -> FlowRun:
    run = house.api.start(deployment, {"environment": "production", **parameters}).run
    return wait(house, run.id, "COMPLETED")


def colours(house: RunningHouse) -> dict[str, str]:
    engine = house.engine()
    found = engine.containers.list(all=True, filters={"network": house.production["network"]})
    return {each.labels["coffer.colour"]: each.status for each in found if "coffer.colour" in each.labels}


def disputes(house: RunningHouse) -> tuple[int, str]:
    with psycopg.connect(house.production["admin_conninfo"]) as connection:
        count, now = connection.execute("SELECT count(*), clock_timestamp() FROM disputes").fetchall()[0]
    return count, now.isoformat()


def file_dispute(edge: httpx.Client, key: str) -> None:
    body = {"account": "ada@example.org", "creditor": "First Bank", "amountCents": 1, "reason": "walk"}
    edge.post("/api/disputes", json=body, headers={"Idempotency-Key": key}).raise_for_status()


def test_a_forged_notification_starts_nothing(running_house: RunningHouse) -> None:
    event = {"action": "push", "target": {"repository": "creditai", "tag": "main-0", "digest": "sha256:" + "0" * 64}}
    for headers in ({}, {"Authorization": "Bearer guessed"}):
        answer = httpx.post(
            f"{running_house.document['receiver_url']}/registry", json={"events": [event]}, headers=headers
        )
        assert answer.status_code == 401
    assert running_house.api.runs(flow="release") == []


def test_a_push_starts_one_run_that_waits_for_approval(running_house: RunningHouse, edge: httpx.Client) -> None:
    house = running_house
    name = house.build("1.0.0", line="main")
    image = house.push(name)
    wait_until(lambda: None if house.releases(image) else "no run yet", what="the run of the push", seconds=60)
    for _ in range(2):  # the registry delivers again what it is not sure of
        redeliver(house, image)
    run = house.releases(image)[0]
    first = wait(house, run.id, "PAUSED").since
    assert [each.id for each in house.releases(image)] == [run.id]
    house.coffer("release", "approve", run.id, "--as", "eve", "--note", "I am ada, really")
    again = house.api.wait(
        run.id, timeout=90, until=lambda seen: seen.finished or (seen.waiting and seen.since != first)
    )
    assert again.waiting, "a word that does not count must not end a release"
    house.approve(run.id)
    wait(house, run.id, "COMPLETED")
    assert serves(edge) == "1.0.0"


def redeliver(house: RunningHouse, image: str) -> None:
    repository, _, digest = image.partition("@")
    target = {
        "repository": repository.rpartition("/")[2],
        "tag": "main-1.0.0",
        "digest": digest,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    }
    secret = Path(house.document["receiver_secret_file"]).read_text().strip()
    answer = httpx.post(
        f"{house.document['receiver_url']}/registry",
        json={"events": [{"action": "push", "target": target}]},
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 200, answer.text


def test_a_release_killed_while_it_acts_goes_on_when_told(running_house: RunningHouse, edge: httpx.Client) -> None:
    house = running_house
    image = house.push(house.build("2.0.0"))
    run = house.coffer("release", "run", "--environment", "production", image).stdout.split()[-1]
    wait(house, run, "PAUSED")
    house.approve(run)
    kill_when(house, run, lambda: len(colours(house)) == 2)
    wait(house, run, "CRASHED")
    house.coffer("release", "resume", run, "--wait")
    assert serves(edge) == "2.0.0"
    assert sorted(colours(house).values()) == ["exited", "running"]
    assert house.api.run(run).succeeded


def kill_when(house: RunningHouse, run: str, ready: Any) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline, house.story(run)
        time.sleep(0.05)
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "prefect.engine" not in (process.info["cmdline"] or []):
            continue
        if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
            os.kill(process.pid, signal.SIGKILL)
            return
    pytest.fail(f"no process carries run {run}\n{house.story(run)}")


@contextmanager
def load(house: RunningHouse, result: Path) -> Iterator[Path]:
    """Load production from a thousand addresses, each under the edge's limit, while the block runs."""
    command = [sys.executable, "-m", "coffer.targets.load", "--url", house.production["edge_url"]]
    command += ["--ca", house.production["edge_ca"], "--profile", CREDITAI / "load-profile.toml"]
    process = subprocess.Popen([*command, "--rate", "60", "--duration", "180", "--out", result])
    try:
        yield result
    finally:
        process.terminate()
        process.wait(30)


def test_a_version_that_breaks_after_the_switch_is_taken_back(
    running_house: RunningHouse, edge: httpx.Client, tmp_path: Path
) -> None:
    house = running_house
    image = house.push(house.build("3.0.0", fault="errors-after-switch"))
    run = house.coffer("release", "run", "--environment", "production", image).stdout.split()[-1]
    wait(house, run, "PAUSED")
    with load(house, tmp_path / "load.json") as seen:
        house.approve(run)
        house.api.wait(run, timeout=2 * _MINUTE)
    ended = house.api.run(run)
    assert ended.type == "FAILED", house.story(run)
    assert "taken back" in ended.message
    assert json.loads(seen.read_text())["failed"], "the broken version was never asked"
    assert serves(edge) == "2.0.0"


def test_points_are_in_both_regions_and_read_back(running_house: RunningHouse, edge: httpx.Client) -> None:
    house = running_house
    edge.post("/api/uploads", content=b"a document", headers={"Content-Type": "text/plain"}).raise_for_status()
    start(house, "backup/production-on-demand", kind="full")
    file_dispute(edge, "walk-1")
    start(house, "backup/production-on-demand", kind="incremental")
    for store in house.document["stores"]:
        writer = house.document["vault"]["writer_file"]
        points = json.loads(house.coffer("points", "--store", store, "--writer", writer, "--json").stdout)
        kinds = [point["kind"] for point in points]
        assert kinds[-2:] == ["full", "incremental"]
    start(house, "vault-verify/production", read_back=True)
    start(house, "vault-prune/production")
    points = json.loads(house.coffer("points", "--store", store, "--writer", writer, "--json").stdout)
    assert all(point["proof"]["read_back"] for point in points)


def test_a_drill_brings_back_exactly_a_moment(running_house: RunningHouse, edge: httpx.Client) -> None:
    house = running_house
    file_dispute(edge, "walk-2")
    right, moment = disputes(house)
    file_dispute(edge, "walk-3")
    run = start(house, "drill/production-weekly", time=moment)
    report = json.loads((house.state / "reports" / f"drill-production-{run.id}.json").read_text())
    rows = {name.split(".")[-1]: count for name, count in report["rows"].items()}
    assert rows["disputes"] == right
    assert any("questions" in check["name"] and check["ok"] for check in report["checks"])
    assert 0 < report["rto_seconds"] < 900


def test_one_flipped_byte_is_named_refused_and_fails_the_drill(running_house: RunningHouse, tmp_path: Path) -> None:
    house = running_house
    copy = tmp_path / "copy"
    copy.mkdir()
    house.coffer("replicate", "--from", house.document["stores"][0], "--to", f"file://{copy}")
    identity = house.document["vault"]["identity_file"]
    pack = flip_what_the_database_needs(house, copy, identity, tmp_path)
    said = house.coffer("verify", "--store", f"file://{copy}", fails=13)
    assert pack.name in said.stdout + said.stderr
    damaged = damaged_environment(house, copy, tmp_path)
    drilled = house.coffer("drill", "--environment", str(damaged), "--identity", identity, "--time", "latest", fails=13)
    assert "FAILED" in drilled.stderr


def flip_what_the_database_needs(house: RunningHouse, copy: Path, identity: str, folder: Path) -> Path:
    """Flip one byte in the middle of a pack that the newest point's database needs: its restore is refused."""
    packs = [path for path in copy.rglob("*") if path.is_file() and "pack" in str(path)]
    for number, pack in enumerate(sorted(packs, key=lambda path: path.stat().st_size, reverse=True)):
        pack.chmod(0o600)
        right = pack.read_bytes()
        pack.write_bytes(right[: len(right) // 2] + bytes([right[len(right) // 2] ^ 1]) + right[len(right) // 2 + 1 :])
        where = ("--store", f"file://{copy}", "--identity", identity, "--to", str(folder / f"back-{number}"))
        if house.coffer("restore", "latest", *where, "--source", "postgres", fails=(0, 13)).returncode == 13:
            return pack
        pack.write_bytes(right)  # of another source, or of an older point
    raise AssertionError("no pack is needed by the newest point's database")


def damaged_environment(house: RunningHouse, copy: Path, folder: Path) -> Path:
    """Return an environment file that is production's, but for a vault that has only the damaged copy."""
    vault = folder / "vault.json"
    vault.write_text(json.dumps({"stores": [f"file://{copy}"], "writer_file": house.document["vault"]["writer_file"]}))
    source = Path(house.environment["COFFER_ENVIRONMENTS"]) / "production.toml"
    path = folder / "damaged.toml"
    path.write_text(source.read_text().replace("block:vault/production", f"file:{vault}"))
    return path


def test_a_rollback_on_somebodys_word(running_house: RunningHouse, edge: httpx.Client) -> None:
    house = running_house
    house.coffer("release", "rollback", "--environment", "production", "--reason", "the walk ends here", "--wait")
    assert serves(edge) == "1.0.0"


def test_the_ledger_tells_it_all(running_house: RunningHouse) -> None:
    acts = [entry["act"] for entry in json.loads(running_house.coffer("ledger", "show", "--json").stdout)]
    running_house.coffer("ledger", "verify")
    assert acts.count("release.done") == 2
    assert {"point.taken", "vault.verified", "drill.passed", "rollback.done"} <= set(acts)
