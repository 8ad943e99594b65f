"""The client says what Prefect expects and reads what it answers, refusals in a 200 included."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from coffer.errors import ApprovalError, NotThere, OutsideSystemError, StepFailed, UsageError
from coffer.prefect_api import PrefectApi
from coffer.prefect_api.address import server_address
from coffer.prefect_api.transport import Transport

RUN = "0197a0c4-7d52-7c8e-9a50-1c1c7a1f6f10"


class Prefect:
    """Answers by method and path; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.bodies: list[tuple[str, Any]] = []
        self.now = 0.0

    def on(self, request: str, *answers: Any, status: int = 200) -> None:
        self.answers[request] = [(status, answer) for answer in answers]

    def handle(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path.removeprefix('/api')}"
        self.bodies.append((name, json.loads(request.content) if request.content else None))
        if name not in self.answers:
            return httpx.Response(404, json={"detail": "not found"})
        answers = self.answers[name]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, json=answer)

    def body(self, request: str) -> Any:
        return next(body for name, body in reversed(self.bodies) if name == request)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def api(self) -> PrefectApi:
        transport = Transport("http://prefect.test/api", transport=httpx.MockTransport(self.handle), sleep=self.sleep)
        return PrefectApi(transport, sleep=self.sleep, clock=lambda: self.now)


def document(type: str = "SCHEDULED", name: str = "", **more: Any) -> dict[str, Any]:
    return {"id": RUN, "name": "brave-fox", "state": {"type": type, "name": name or type.title()}, **more}


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


def test_a_run_is_started_once_a_key(prefect: Prefect) -> None:
    prefect.on("GET /deployments/name/release/production", {"id": "D"})
    prefect.on("POST /deployments/D/create_flow_run", document(), status=201)
    started = prefect.api.start("release/production", {"image": "i"}, key="k", tags=["t"])
    assert started.new
    assert started.run.id == RUN
    assert prefect.body("POST /deployments/D/create_flow_run") == {
        "parameters": {"image": "i"},
        "tags": ["t"],
        "idempotency_key": "k",
    }
    prefect.on("POST /deployments/D/create_flow_run", document("RUNNING"))
    assert not prefect.api.start("release/production", {"image": "i"}, key="k").new


def test_without_a_key_even_a_repeated_request_starts_one_run(prefect: Prefect) -> None:
    prefect.on("GET /deployments/name/backup/production-on-demand", {"id": "D"})
    prefect.on("POST /deployments/D/create_flow_run", document(), status=201)
    for _ in range(2):
        prefect.api.start("backup/production-on-demand", {})
    keys = [body["idempotency_key"] for name, body in prefect.bodies if name.endswith("create_flow_run")]
    assert len(set(keys)) == 2
    assert all(UUID(key) for key in keys)


def test_an_unknown_deployment_says_how_to_make_it(prefect: Prefect) -> None:
    with pytest.raises(NotThere, match=r"no deployment 'release/nope'.*coffer deployments apply"):
        prefect.api.start("release/nope", {})
    with pytest.raises(UsageError, match="FLOW/DEPLOYMENT"):
        prefect.api.start("release", {})


@pytest.mark.parametrize("bad", ["x", "", "../admin", "0197a0c4"])
def test_only_an_id_is_asked_for(prefect: Prefect, bad: str) -> None:
    with pytest.raises(UsageError, match="not the id of a run"):
        prefect.api.run(bad)
    assert prefect.bodies == []


def test_a_run_is_read_whole(prefect: Prefect) -> None:
    state = {
        "type": "PAUSED",
        "name": "Suspended",
        "message": "why",
        "state_details": {"run_input_keyset": {"schema": "s"}},
    }
    prefect.on(
        f"GET /flow_runs/{RUN}", {**document(), "state": state, "parameters": {"a": 1}, "run_count": 2, "tags": ["t"]}
    )
    run = prefect.api.run(RUN)
    assert (run.state, run.type, run.message, run.count, run.tags) == ("Suspended", "PAUSED", "why", 2, ("t",))
    assert run.waiting
    assert not run.finished
    assert run.inputs == {"schema": "s"}
    assert run.as_dict()["parameters"] == {"a": 1}


def test_waiting_shows_each_state_once(prefect: Prefect) -> None:
    states = ["SCHEDULED", "SCHEDULED", "RUNNING", "RUNNING", "COMPLETED"]
    prefect.on(f"GET /flow_runs/{RUN}", *(document(state) for state in states))
    seen: list[str] = []
    run = prefect.api.wait(RUN, timeout=60, changed=lambda run: seen.append(run.type))
    assert run.succeeded
    assert seen == ["SCHEDULED", "RUNNING", "COMPLETED"]


def test_waiting_has_an_end(prefect: Prefect) -> None:
    prefect.on(f"GET /flow_runs/{RUN}", document("RUNNING"))
    with pytest.raises(StepFailed, match="still Running after 5 s"):
        prefect.api.wait(RUN, timeout=5)
    assert prefect.now == pytest.approx(5, abs=1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "REJECT", "details": {"reason": "approver: too short"}}, "approver: too short"),
        ({"status": "ABORT", "details": {"reason": "Cannot resume a flow run that is not paused."}}, "not paused"),
        ({"status": "WAIT"}, "WAIT"),
        ({}, "None"),
    ],
)
def test_an_answer_that_was_not_taken_is_an_error_though_http_says_200(
    prefect: Prefect, answer: dict[str, Any], reason: str
) -> None:
    prefect.on(f"POST /flow_runs/{RUN}/resume", answer)
    with pytest.raises(ApprovalError, match=reason):
        prefect.api.resume(RUN, {"approver": "x"})


def test_an_answer_that_was_taken(prefect: Prefect) -> None:
    prefect.on(f"POST /flow_runs/{RUN}/resume", {"status": "ACCEPT"}, status=201)
    prefect.api.resume(RUN, {"approver": "ada"})
    assert prefect.body(f"POST /flow_runs/{RUN}/resume") == {"run_input": {"approver": "ada"}}


@pytest.mark.parametrize("state", ["CRASHED", "FAILED", "CANCELLED"])
def test_what_ended_badly_can_go_on(prefect: Prefect, state: str) -> None:
    prefect.on(f"GET /flow_runs/{RUN}", document(state), document("SCHEDULED", "AwaitingRetry"))
    prefect.on(f"POST /flow_runs/{RUN}/set_state", {"status": "ACCEPT"}, status=201)
    assert prefect.api.retry(RUN, reason="by ada").state == "AwaitingRetry"
    assert prefect.body(f"POST /flow_runs/{RUN}/set_state") == {
        "state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "by ada"},
        "force": True,
    }


def test_what_has_just_crashed_goes_on_when_its_worker_has_said_all_it_has_to_say(prefect: Prefect) -> None:
    crashed = document("CRASHED")
    crashed["state"]["timestamp"] = (datetime.now(UTC) - timedelta(seconds=2)).isoformat()
    prefect.on(f"GET /flow_runs/{RUN}", crashed, crashed, document("SCHEDULED", "AwaitingRetry"))
    prefect.on("POST /events/filter", {"events": []}, {"events": []}, {"events": [{}]})
    prefect.on(f"POST /flow_runs/{RUN}/set_state", {"status": "ACCEPT"}, status=201)
    prefect.api.retry(RUN)
    order = [name for name, _ in prefect.bodies]
    assert order.count("POST /events/filter") == 3
    assert order.index(f"POST /flow_runs/{RUN}/set_state") > max(
        place for place, name in enumerate(order) if name == "POST /events/filter"
    )


def test_a_worker_that_is_gone_is_not_waited_for_long(prefect: Prefect) -> None:
    crashed = document("CRASHED")
    crashed["state"]["timestamp"] = datetime.now(UTC).isoformat()
    prefect.on(f"GET /flow_runs/{RUN}", crashed)
    prefect.on("POST /events/filter", {"events": []})
    prefect.on(f"POST /flow_runs/{RUN}/set_state", {"status": "ACCEPT"}, status=201)
    prefect.api.retry(RUN)
    assert 15 < prefect.now < 30


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "SCHEDULED", "COMPLETED"])
def test_what_is_alive_or_done_is_not_started_again(prefect: Prefect, state: str) -> None:
    prefect.on(f"GET /flow_runs/{RUN}", document(state))
    with pytest.raises(UsageError, match="only a crashed"):
        prefect.api.retry(RUN)


@pytest.mark.parametrize(
    ("state", "wanted"), [("PAUSED", "CANCELLED"), ("SCHEDULED", "CANCELLED"), ("RUNNING", "CANCELLING")]
)
def test_cancelling_leaves_the_end_of_a_process_to_its_worker(prefect: Prefect, state: str, wanted: str) -> None:
    prefect.on(f"GET /flow_runs/{RUN}", document(state))
    prefect.on(f"POST /flow_runs/{RUN}/set_state", {"status": "ACCEPT"}, status=201)
    prefect.api.cancel(RUN)
    assert prefect.body(f"POST /flow_runs/{RUN}/set_state")["state"]["type"] == wanted


def test_a_refused_state_is_an_error(prefect: Prefect) -> None:
    prefect.on(f"GET /flow_runs/{RUN}", document("RUNNING"))
    prefect.on(f"POST /flow_runs/{RUN}/set_state", {"status": "ABORT", "details": {"reason": "because"}})
    with pytest.raises(OutsideSystemError, match="because"):
        prefect.api.cancel(RUN)


def test_an_event_carries_its_own_id(prefect: Prefect) -> None:
    prefect.on("POST /events", None, status=204)
    identity, when = UUID(int=7), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    prefect.api.emit("coffer.x", {"prefect.resource.id": "r"}, {"a": 1}, identity=identity, occurred=when)
    [event] = prefect.body("POST /events")
    assert event == {
        "id": str(identity),
        "event": "coffer.x",
        "occurred": "2026-01-02T03:04:00+00:00",
        "resource": {"prefect.resource.id": "r"},
        "related": [],
        "payload": {"a": 1},
    }


def test_runs_are_found_by_what_they_were_asked(prefect: Prefect) -> None:
    prefect.on("POST /flow_runs/filter", [document(parameters={"environment": e}) for e in ("staging", "production")])
    found = prefect.api.runs(
        flow="release", tags=["coffer"], types=["PAUSED"], parameters={"environment": "production"}
    )
    assert [run.parameters["environment"] for run in found] == ["production"]
    query = prefect.body("POST /flow_runs/filter")
    assert query["flows"] == {"name": {"any_": ["release"]}}
    assert query["flow_runs"] == {"tags": {"all_": ["coffer"]}, "state": {"type": {"any_": ["PAUSED"]}}}


def test_an_address_has_to_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_STATE", str(tmp_path))
    with pytest.raises(UsageError, match="no Prefect server is known"):
        PrefectApi.from_environment()


def test_without_an_address_the_local_stack_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_STATE", str(tmp_path))
    (tmp_path / "stack.json").write_text('{"prefect_api_url": "http://127.0.0.1:4299/api"}')
    assert server_address() == "http://127.0.0.1:4299/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4300/api")
    assert server_address() == "http://127.0.0.1:4300/api"
