"""One command makes all that Coffer needs in a real Prefect server, as often as one likes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.services.prefect_world import PrefectWorld, prefect_world

__all__ = ["prefect_world"]


def everything(world: PrefectWorld) -> dict[str, list[Any]]:
    send = world.api.transport.send
    documents = send("POST", "/block_documents/filter", {"include_secrets": True}).json()
    automations = send("POST", "/automations/filter", {}).json()
    return {
        "pools": sorted(pool["name"] for pool in send("POST", "/work_pools/filter", {}).json()),
        "deployments": sorted(each["name"] for each in send("POST", "/deployments/filter", {}).json()),
        "automations": sorted((each["name"], each["enabled"]) for each in automations),
        "blocks": sorted((each["block_type"]["slug"], each["name"], json.dumps(each["data"])) for each in documents),
    }


def test_applied_twice_is_applied_once(prefect_world: PrefectWorld) -> None:
    before = everything(prefect_world)
    said = prefect_world.apply()
    assert everything(prefect_world) == before
    took = re.search(r"applied in ([0-9.]+) s", said)
    assert took
    assert before["pools"] == ["coffer", "coffer-escrow"]
    assert ("coffer-crash-runs-without-heartbeat", False) in before["automations"]
    assert ("coffer-resume-crashed-runs", False) in before["automations"]
    assert ("release-production-on-push", True) in before["automations"]
    assert "production-four-hourly" in before["deployments"]


def test_a_changed_pool_is_brought_back(prefect_world: PrefectWorld) -> None:
    send = prefect_world.api.transport.send
    send("PATCH", "/work_pools/coffer", {"description": "changed by hand"})
    prefect_world.apply()
    pool = send("GET", "/work_pools/coffer").json()
    assert "cannot open a recovery point" in pool["description"]
    environment = pool["base_job_template"]["variables"]["properties"]["env"]
    assert environment["default"] == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def test_no_identity_and_no_admin_key_reaches_a_block(prefect_world: PrefectWorld) -> None:
    everything_readable = json.dumps(everything(prefect_world)["blocks"])
    assert "writer-a-%secret" in everything_readable
    assert "the-identity" not in everything_readable
    assert "admin-a" not in everything_readable


def test_secrets_are_masked_unless_they_are_asked_for(prefect_world: PrefectWorld) -> None:
    shown = prefect_world.api.transport.send("POST", "/block_documents/filter", {}).text
    assert "a-secret" not in shown
    assert "%secret" not in shown


RESOLVE = """
import asyncio, json, sys
from coffer.environments import resolve
from coffer.errors import CofferError
def values():
    found = {}
    for reference in sys.argv[2:]:
        try: found[reference] = resolve(reference)
        except CofferError as error: found[reference] = [error.category, str(error)]
    return found
async def inside(): return values()
print(json.dumps(asyncio.run(inside()) if sys.argv[1] == "async" else values()))
"""


@pytest.mark.parametrize("where", ["sync", "async"])
def test_references_of_the_environment_files_resolve(prefect_world: PrefectWorld, where: str) -> None:
    references = [
        "block:vault/production",
        "block:docker-host/production-a",
        "block:database/creditai-production#backup",
        "block:redis/creditai-staging#url",
        "block:registry/local#address",
        "block:notifier/local#urls",
        "block:aws-credentials/region-b",
        "block:vault/nobody",
        "block:identity/production",
    ]
    done = prefect_world.python("-c", RESOLVE, where, *references)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    vault = found["block:vault/production"]
    assert vault["writer_file"].endswith("/writer")
    assert vault["credentials"]["writer-b"] == {"access_key": "writer-b-id", "secret_key": "writer-b-%secret"}
    assert found["block:docker-host/production-a"]["docker"] == "unix:///var/run/docker.sock"
    assert found["block:database/creditai-production#backup"] == "password=a-secret backup_conninfo"
    assert found["block:redis/creditai-staging#url"] == "password=a-secret redis_url"
    assert found["block:registry/local#address"] == prefect_world.registry.address
    assert found["block:notifier/local#urls"][0].startswith("mailto://127.0.0.1:2525")
    assert found["block:aws-credentials/region-b"]["access_key"] == "writer-b-id"
    assert found["block:vault/nobody"][0] == "not-there"
    assert found["block:identity/production"][0] == "usage"
