"""Bring a Prefect server's work pools and automations to what files say. May be run as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from coffer.errors import NotThere
from coffer.prefect_api.transport import Transport


def apply_work_pool(transport: Transport, pool: Mapping[str, Any]) -> str:
    """Make a work pool, or give an existing one this template and description; return which was done.

    Args:
        transport: The server.
        pool: Prefect's document of a pool: name, type, description, base_job_template.
    """
    path = f"/work_pools/{quote(pool['name'], safe='')}"
    try:
        transport.send("GET", path)
    except NotThere:
        transport.send("POST", "/work_pools/", dict(pool))
        return "made"
    # The type cannot change; Prefect refuses to be told it again.
    transport.send("PATCH", path, {key: pool[key] for key in ("description", "base_job_template") if key in pool})
    return "there"


def apply_automation(transport: Transport, automation: Mapping[str, Any]) -> str:
    """Make an automation, or replace the one of this name; return which was done.

    Args:
        transport: The server.
        automation: Prefect's document of an automation: name, enabled, trigger, actions.
    """
    query = {"automations": {"name": {"any_": [automation["name"]]}}}
    existing = transport.send("POST", "/automations/filter", query).json()
    if not existing:
        transport.send("POST", "/automations/", dict(automation))
        return "made"
    transport.send("PUT", f"/automations/{existing[0]['id']}", dict(automation))
    return "there"
