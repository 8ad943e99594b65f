"""Runs of a real server and worker: asked for, waited for, approved by signature, gone on with after a crash."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from uuid import uuid4

import pytest

from coffer.errors import ApprovalError, NotThere, UsageError
from coffer.keys import signing
from coffer.prefect_api import FlowRun
from coffer.release.approval import Approval
from tests.services.prefect_world import PrefectWorld, prefect_worker, prefect_world

__all__ = ["prefect_worker", "prefect_world"]
# A limit, not a measure: a flow's process starts in 3 s on a machine of its own.
SOON = 240.0
DIGEST = "sha256:" + "5f" * 32


def start(world: PrefectWorld, **parameters: object) -> FlowRun:
    return world.api.start("release/production", {"environment": "production", **parameters}).run


def left_by(world: PrefectWorld, run: FlowRun) -> str:
    """What the flow wrote into its working folder, which is the checkout."""
    return (world.home / f"{run.id}.left").read_text()


def test_a_run_is_started_once_and_ends(prefect_worker: PrefectWorld) -> None:
    api, key = prefect_worker.api, str(uuid4())
    first = api.start("release/production", {"image": f"x@{DIGEST}"}, key=key)
    second = api.start("release/production", {"image": f"x@{DIGEST}"}, key=key)
    assert first.new
    assert not second.new
    assert first.run.id == second.run.id
    seen: list[str] = []
    ended = api.wait(first.run.id, timeout=SOON, changed=lambda run: seen.append(run.state))
    assert ended.succeeded
    assert seen[-1] == "Completed"
    assert first.run.id in {run.id for run in api.runs(flow="release", parameters={"image": f"x@{DIGEST}"})}


def test_what_does_not_fit_starts_nothing(prefect_world: PrefectWorld) -> None:
    with pytest.raises(UsageError, match="attempt"):
        start(prefect_world, attempt="many")
    with pytest.raises(NotThere, match="deployments apply"):
        prefect_world.api.start("release/nowhere", {})
    with pytest.raises(NotThere, match="no run"):
        prefect_world.api.run(str(uuid4()))


def test_approval(prefect_worker: PrefectWorld, tmp_path: Path) -> None:
    api = prefect_worker.api
    made = prefect_worker.coffer("release", "approver-key", "--out", str(tmp_path / "ada"))
    run = start(prefect_worker, version="ask")
    waiting = api.wait(run.id, timeout=SOON, until=lambda seen: seen.waiting or seen.finished)
    assert waiting.waiting

    with pytest.raises(ApprovalError, match="approver"):
        api.resume(run.id, {"approver": "x"})
    with pytest.raises(ApprovalError):
        api.resume(run.id, {"approver": "ada", "decision": "perhaps"})
    wrong = prefect_worker.coffer("release", "approve", run.id, "--as", "ada", "--environment", "staging", code=2)
    assert "is about production, not staging" in wrong
    assert api.run(run.id).waiting

    key = ["--key", str(tmp_path / "ada")]
    said = prefect_worker.coffer(
        "release", "approve", "--environment", "production", "--as", "ada", "--note", "go", *key
    )
    assert f"approve: plan {'ab' * 6} for production" in said
    assert api.wait(run.id, timeout=SOON).succeeded

    answer = json.loads(left_by(prefect_worker, run))
    word = Approval.from_json(answer["signature"])
    public = base64.b64decode(made.split('"')[1])
    signature = base64.b64decode(word.signature)
    assert signing.is_signed(public, signature, b"release approval", word.statement)
    assert (word.plan, word.environment, word.by, word.choice) == ("ab" * 32, "production", "ada", "approve")
    assert answer["decision"] == "approve"

    again = prefect_worker.coffer("release", "approve", run.id, "--as", "ada", *key, code=18)
    assert "waits for nobody" in again
    with pytest.raises(ApprovalError, match="not paused"):
        api.resume(run.id, {"approver": "ada"})


def test_a_rejection_says_why(prefect_worker: PrefectWorld) -> None:
    run = start(prefect_worker, version="ask")
    prefect_worker.api.wait(run.id, timeout=SOON, until=lambda seen: seen.waiting)
    prefect_worker.coffer("release", "reject", run.id, "--as", "ada", "--reason", " ", code=2)
    prefect_worker.coffer("release", "reject", run.id, "--as", "ada", "--reason", "not on a Friday")
    assert prefect_worker.api.wait(run.id, timeout=SOON).finished
    answer = json.loads(left_by(prefect_worker, run))
    assert (answer["decision"], answer["note"]) == ("reject", "not on a Friday")


def test_a_crashed_run_goes_on(prefect_worker: PrefectWorld) -> None:
    run = start(prefect_worker, version="crash")
    crashed = prefect_worker.api.wait(run.id, timeout=SOON)
    assert crashed.state == "Crashed"
    prefect_worker.coffer("release", "resume", run.id, "--environment", "staging", code=2)
    prefect_worker.coffer("release", "resume", run.id, "--wait", "--timeout", str(SOON))
    ended = prefect_worker.api.run(run.id)
    assert ended.succeeded
    assert ended.count == 2
    assert "is Completed" in prefect_worker.coffer("release", "resume", run.id, code=2)


def test_the_command_ends_as_the_flow_did(prefect_worker: PrefectWorld) -> None:
    image = f"{prefect_worker.image}@sha256:{uuid4().hex * 2}"
    done = prefect_worker.coffer(
        "release", "run", "--environment", "production", image, "--wait", "--timeout", str(SOON)
    )
    assert "Completed" in done
    assert "the same run" in prefect_worker.coffer("release", "run", "--environment", "production", image)
    assert image.rpartition(":")[2][:20] in prefect_worker.coffer("release", "status", "--environment", "production")

    run = start(prefect_worker, version="refuse")
    assert prefect_worker.api.wait(run.id, timeout=SOON).state == "Failed"
    refused = prefect_worker.coffer("release", "resume", run.id, "--wait", "--timeout", str(SOON), code=14)
    assert "the gate refuses: because" in refused


def test_a_waiting_run_can_be_cancelled(prefect_worker: PrefectWorld) -> None:
    run = start(prefect_worker, version="ask")
    prefect_worker.api.wait(run.id, timeout=SOON, until=lambda seen: seen.waiting)
    assert prefect_worker.api.cancel(run.id, reason="no longer wanted").state == "Cancelled"
    with pytest.raises(UsageError, match="nothing to cancel"):
        prefect_worker.api.cancel(run.id)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--environment", "production", "{image}:v1"], "does not name an image by digest"),
        (["--environment", "nowhere", "{image}@" + DIGEST], "there is no environment 'nowhere'"),
        (["--environment", "production", "other@" + DIGEST], "is not what production runs"),
        (["--environment", "production"], "needs an image or a source"),
    ],
)
def test_a_wrong_request_touches_nothing(prefect_world: PrefectWorld, arguments: list[str], said: str) -> None:
    before = len(prefect_world.api.runs(flow="release", limit=200))
    filled = [argument.replace("{image}", prefect_world.image) for argument in arguments]
    output = prefect_world.coffer("release", "run", *filled, code=2)
    assert said in output
    assert len(output.strip().splitlines()) == 1
    assert len(prefect_world.api.runs(flow="release", limit=200)) == before
