"""Coffer's events, for automations and for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

POINT_MISSED = "coffer.point.missed"
PROMISE_IN_DANGER = "coffer.promise.in_danger"
DRILL_FAILED, DRILL_PASSED = "coffer.drill.failed", "coffer.drill.passed"


def emit(event: str, service: str, payload: Mapping[str, Any]) -> None:
    """Tell Prefect what happened to a service. Losing it loses no fact: the ledger and the vault hold those.

    The environment and the promise are labels of the resource too, since an automation can only match those.
    """
    labels = {f"coffer.{name}": str(payload[name]) for name in ("environment", "promise") if payload.get(name)}
    emit_event(
        event=event, resource={"prefect.resource.id": f"coffer.service.{service}", **labels}, payload=dict(payload)
    )
