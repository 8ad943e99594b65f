"""Start, watch, resume, retry and cancel runs; emit events; read artifacts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from coffer.errors import ApprovalError, NotThere, OutsideSystemError, StepFailed, UsageError
from coffer.prefect_api.address import server_address
from coffer.prefect_api.flow_run import FlowRun
from coffer.prefect_api.transport import PATIENCE, Transport

_WORKER_MAY_SPEAK = timedelta(minutes=1)
_WORKER_SPEAKS_WITHIN = 20.0


@dataclass(frozen=True)
class Started:
    """What a request to start a run led to.

    Attributes:
        run: The run.
        new: Whether this request made it; False if an earlier request with the same key did.
    """

    run: FlowRun
    new: bool


class PrefectApi:
    """A Prefect server, seen from the engine.

    Args:
        transport: What carries the requests.
        sleep: Waits between two looks at a run.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self._sleep = sleep
        self._clock = clock

    @classmethod
    def from_environment(cls, *, attempts: int = 6, timeout: float = PATIENCE) -> PrefectApi:
        """Use PREFECT_API_URL, or the local stack's address, and PREFECT_API_AUTH_STRING.

        Raises:
            UsageError: Neither is there.
        """
        url = server_address()
        auth = os.environ.get("PREFECT_API_AUTH_STRING", "")
        return cls(Transport(url, auth=auth, attempts=attempts, timeout=timeout))

    def start(
        self, deployment: str, parameters: Mapping[str, Any], *, key: str = "", tags: Sequence[str] = ()
    ) -> Started:
        """Start a run of a deployment.

        Args:
            deployment: `FLOW/DEPLOYMENT`, for example `release/production`.
            parameters: The flow's parameters; Prefect checks them against its form.
            key: A second request with the same key gets the same run. Empty: a new run.
            tags: Tags beside those of the deployment.

        Raises:
            NotThere: There is no such deployment.
            UsageError: The parameters do not fit the flow.
        """
        body = {"parameters": dict(parameters), "tags": list(tags), "idempotency_key": key or str(uuid4())}
        identity = self.deployment(deployment)["id"]
        response = self.transport.send("POST", f"/deployments/{identity}/create_flow_run", body)
        return Started(FlowRun.from_document(response.json()), response.status_code == 201)

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment's document.

        Raises:
            UsageError: The name is not `FLOW/DEPLOYMENT`.
            NotThere: There is none of that name.
        """
        flow, slash, label = name.partition("/")
        if not (flow and slash and label):
            raise UsageError(f"'{name}' does not name a deployment", resolution="Write FLOW/DEPLOYMENT")
        try:
            document: dict[str, Any] = self.transport.send(
                "GET", f"/deployments/name/{quote(flow, safe='')}/{quote(label, safe='')}"
            ).json()
        except NotThere as error:
            raise NotThere(f"Prefect has no deployment '{name}'", resolution="Run: coffer deployments apply") from error
        return document

    def run(self, run_id: str) -> FlowRun:
        """Read a run.

        Raises:
            UsageError: That is no id of a run.
            NotThere: There is no such run.
        """
        try:
            return FlowRun.from_document(self.transport.send("GET", f"/flow_runs/{_checked(run_id)}").json())
        except NotThere as error:
            raise NotThere(f"Prefect has no run {run_id}", resolution="Run: coffer release status") from error

    def runs(
        self,
        *,
        flow: str = "",
        deployment: str = "",
        tags: Sequence[str] = (),
        types: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        limit: int = 50,
    ) -> list[FlowRun]:
        """List runs, newest first.

        Args:
            flow: Name of their flow.
            deployment: Name of their deployment, without the flow's.
            tags: All of these they must carry.
            types: One of these state types they must be in.
            parameters: Values their parameters must have (Prefect cannot filter by these: done here, within `limit`).
            limit: How many Prefect is asked for, 200 at most.
        """
        query: dict[str, Any] = {"sort": "EXPECTED_START_TIME_DESC", "limit": limit}
        conditions: dict[str, Any] = {}
        if tags:
            conditions["tags"] = {"all_": list(tags)}
        if types:
            conditions["state"] = {"type": {"any_": list(types)}}
        if conditions:
            query["flow_runs"] = conditions
        if flow:
            query["flows"] = {"name": {"any_": [flow]}}
        if deployment:
            query["deployments"] = {"name": {"any_": [deployment]}}
        found = [FlowRun.from_document(item) for item in self.transport.send("POST", "/flow_runs/filter", query).json()]
        wanted = dict(parameters or {})
        return [run for run in found if all(run.parameters.get(name) == value for name, value in wanted.items())]

    def wait(
        self,
        run_id: str,
        *,
        timeout: float,
        until: Callable[[FlowRun], bool] = lambda run: run.finished,
        changed: Callable[[FlowRun], None] | None = None,
        interval: float = 0.5,
    ) -> FlowRun:
        """Look at a run until it is where it should be.

        Args:
            run_id: The run.
            timeout: Seconds after which to give up.
            until: When to stop: finished by default.
            changed: Called with each state seen, once.
            interval: Seconds between two looks.

        Raises:
            StepFailed: It did not get there in time.
        """
        deadline, last = self._clock() + timeout, ("", "", 0)
        while True:
            run = self.run(run_id)
            if (seen := (run.state, run.message, run.count)) != last:
                last = seen
                if changed is not None:
                    changed(run)
            if until(run):
                return run
            if self._clock() >= deadline:
                raise StepFailed(
                    f"run {run.name} is still {run.state} after {timeout:g} s",
                    detail=run.message,
                    resolution=f"Run: coffer release status {run.id}",
                )
            self._sleep(interval)

    def resume(self, run_id: str, run_input: Mapping[str, Any]) -> None:
        """Give a waiting run its answer.

        Prefect answers 200 even when it does not take it: the body's status decides.

        Raises:
            ApprovalError: The run does not wait, or its form refuses the answer.
        """
        body = {"run_input": dict(run_input)}
        answer = self.transport.send("POST", f"/flow_runs/{_checked(run_id)}/resume", body, repeatable=False).json()
        if answer.get("status") != "ACCEPT":
            reason = str((answer.get("details") or {}).get("reason") or answer.get("status"))
            raise ApprovalError(
                f"Prefect did not take the answer for run {run_id}",
                detail=reason,
                resolution=f"Run: coffer release status {run_id}",
            )

    def retry(self, run_id: str, *, reason: str = "") -> FlowRun:
        """Let a finished run go on from its first unfinished step, as `prefect flow-run retry` does.

        Raises:
            UsageError: It has not finished, or succeeded already.
        """
        run = self._resumable(run_id)
        if self._wait_for_its_worker(run):
            self._resumable(run_id)
        self._set_state(run_id, {"type": "SCHEDULED", "name": "AwaitingRetry", "message": reason}, force=True)
        return self.run(run_id)

    def cancel(self, run_id: str, *, reason: str = "") -> FlowRun:
        """Ask for the end of a run; one that waits or has not begun ends at once.

        Raises:
            UsageError: It has finished already.
        """
        run = self.run(run_id)
        if run.finished:
            raise UsageError(f"run {run.name} is {run.state}", detail="there is nothing to cancel")
        idle = run.type in ("SCHEDULED", "PAUSED")
        state = {"type": "CANCELLED" if idle else "CANCELLING", "message": reason}
        self._set_state(run_id, state, force=False)
        return self.run(run_id)

    def emit(
        self,
        event: str,
        resource: Mapping[str, str],
        payload: Mapping[str, Any],
        *,
        identity: UUID,
        occurred: datetime,
    ) -> None:
        """Hand Prefect an event; it acts once on each identity.

        Args:
            event: Name, for example `coffer.image.pushed`.
            resource: Labels; `prefect.resource.id` is one of them.
            payload: What automations may put into parameters.
            identity: Id of the event, derived from what happened and not from when.
            occurred: When it happened.
        """
        document = {
            "id": str(identity),
            "event": event,
            "occurred": occurred.isoformat(),
            "resource": dict(resource),
            "related": [],
            "payload": dict(payload),
        }
        self.transport.send("POST", "/events", [document])

    def artifacts(self, run_id: str, *, key: str = "") -> list[dict[str, Any]]:
        """Return a run's artifacts, newest first.

        Args:
            run_id: The run.
            key: Only those of this key; `%` stands for any characters.
        """
        conditions: dict[str, Any] = {"flow_run_id": {"any_": [_checked(run_id)]}}
        if key:
            conditions["key"] = {"like_": key} if "%" in key else {"any_": [key]}
        query = {"artifacts": conditions, "sort": "CREATED_DESC"}
        found: list[dict[str, Any]] = self.transport.send("POST", "/artifacts/filter", query).json()
        return found

    def _resumable(self, run_id: str) -> FlowRun:
        run = self.run(run_id)
        if not run.finished or run.succeeded:
            raise UsageError(
                f"run {run.name} is {run.state}", detail="only a crashed, failed or cancelled run can be resumed"
            )
        return run

    def _wait_for_its_worker(self, run: FlowRun) -> bool:
        """Wait until the worker is done with a process that has just ended; return whether there was one to wait for.

        Seconds after a process was killed its worker says once more that the run crashed. Said after the retry, that
        takes the run's place in its queue away while it works, and a second release could begin beside it. Behind that
        the worker sends an event, which is what this waits for; a worker that is gone sends none and says nothing.
        """
        if not run.since or datetime.now(UTC) - datetime.fromisoformat(run.since) > _WORKER_MAY_SPEAK:
            return False
        deadline = self._clock() + _WORKER_SPEAKS_WITHIN
        query = {
            "filter": {
                "event": {"name": ["prefect.worker.executed-flow-run"]},
                "related": {"id": [f"prefect.flow-run.{run.id}"]},
                "occurred": {"since": run.since, "until": "9999-01-01T00:00:00Z"},
            },
            "limit": 1,
        }
        while self._clock() < deadline:
            if self.transport.send("POST", "/events/filter", query).json()["events"]:
                break
            self._sleep(0.5)
        return True

    def _set_state(self, run_id: str, state: Mapping[str, Any], *, force: bool) -> None:
        body = {"state": dict(state), "force": force}
        answer = self.transport.send("POST", f"/flow_runs/{_checked(run_id)}/set_state", body, repeatable=False).json()
        if answer.get("status") != "ACCEPT":
            raise OutsideSystemError(
                f"Prefect did not change the state of run {run_id}",
                detail=str((answer.get("details") or {}).get("reason") or answer.get("status")),
            )


def _checked(run_id: str) -> str:
    try:
        return str(UUID(run_id))
    except ValueError as error:
        raise UsageError(f"'{run_id}' is not the id of a run", resolution="Run: coffer release status") from error
