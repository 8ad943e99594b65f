"""Coffer's events, for automations and for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event


def emit(event: str, service: str, payload: Mapping[str, Any]) -> None:
    """Tell Prefect what happened to a service. Losing it loses no fact: the ledger and the vault hold those."""
    emit_event(event=event, resource={"prefect.resource.id": f"coffer.service.{service}"}, payload=dict(payload))
