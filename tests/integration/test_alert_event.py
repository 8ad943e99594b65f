"""Events of trouble start one run that tells people, in a real Prefect server; what goes on starts no other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import uuid4

from coffer.prefect_api import FlowRun
from tests.services.prefect_world import PrefectWorld, prefect_world

__all__ = ["prefect_world"]


def emit(world: PrefectWorld, event: str, promise: str, detail: str, environment: str = "production") -> None:
    labels = {"prefect.resource.id": "coffer.service.creditai", "coffer.environment": environment}
    labels |= {"coffer.promise": promise} if promise else {}
    world.api.emit(event, labels, {"detail": detail}, identity=uuid4(), occurred=datetime.now(UTC))


def alerts(world: PrefectWorld) -> list[FlowRun]:
    return [run for run in world.api.runs(flow="alert", deployment="production") if run.parameters.get("event")]


def wait_for(world: PrefectWorld, count: int) -> list[FlowRun]:
    deadline = time.monotonic() + 60
    while len(found := alerts(world)) < count:
        assert time.monotonic() < deadline, f"{len(found)} runs tell people, {count} should"
        time.sleep(0.2)
    return found


def test_each_kind_of_trouble_is_told_once(prefect_world: PrefectWorld) -> None:
    emit(prefect_world, "coffer.promise.in_danger", "recovery time", "of staging", environment="staging")
    for number in range(3):
        emit(prefect_world, "coffer.promise.in_danger", "recovery time", f"would take 13 min ({number})")
    emit(prefect_world, "coffer.point.missed", "point", "the last one is 5 h old")
    emit(prefect_world, "coffer.drill.passed", "", "all is well")
    emit(prefect_world, "coffer.drill.failed", "", "tables are gone: public.disputes")
    found = {(str(run.parameters["event"]), str(run.parameters["detail"])) for run in wait_for(prefect_world, 3)}
    assert ("coffer.point.missed", "the last one is 5 h old") in found
    assert ("coffer.drill.failed", "tables are gone: public.disputes") in found
    assert [event for event, _ in found].count("coffer.promise.in_danger") == 1
    assert len(alerts(prefect_world)) == 3, "what stays wrong is told again after six hours, and not before"
    assert {run.parameters["environment"] for run in alerts(prefect_world)} == {"production"}
