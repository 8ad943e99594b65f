"""Looks at what stands around the vault: the database's slot, this host's disk, Prefect's schedules."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from coffer.errors import CofferError, OutsideSystemError, UsageError
from coffer.prefect_api import PrefectApi
from coffer.recovery.access import open_sources, open_writer
from coffer.recovery.checkup import Finding, Looking
from coffer.recovery.promises import said
from coffer.sources.postgres import PostgresSource
from coffer.sources.postgres.wal_slot import SlotState, slot_health

_POOLS = ("coffer", "coffer-escrow")
_ROOM = 1.2
_LEAST = 1 << 30
_READY = "READY"


def slot(looking: Looking) -> Iterator[Finding]:
    """Look at the slot through which each database's log is shipped."""
    databases = [source for source in open_sources(looking.environment) if isinstance(source, PostgresSource)]
    for database in databases:
        health = slot_health(database.conninfo)
        if health.state is SlotState.OK:
            yield looking.ok("slot", str(health))
        elif health.state is SlotState.ABSENT:
            yield looking.warn(
                "slot", str(health), "Run coffer wal receive: without it a disaster costs all since the last point"
            )
        elif health.state is SlotState.IDLE:
            yield looking.fail("slot", str(health), "Start coffer wal receive: the log grows until the disk is full")
        elif health.state is SlotState.IN_DANGER:
            yield looking.fail(
                "slot", str(health), "Find out why the stores take the log too slowly, before it is lost"
            )
        else:
            yield looking.fail("slot", str(health), "Take a full point now, and start coffer wal receive again")


def disk(looking: Looking) -> Iterator[Finding]:
    """Look whether what a drill or a restore needs fits where temporary files go."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    points = open_writer(looking.environment).points(looking.environment.service.name)
    needed = max(_LEAST, int(_ROOM * points[-1].size)) if points else _LEAST
    text = f"{_size(free)} free in {folder}, a drill needs {_size(needed)}"
    if free < needed:
        yield looking.warn("disk", text, "Make room, or give coffer drill another --directory")
    else:
        yield looking.ok("disk", text)


def schedules(looking: Looking) -> Iterator[Finding]:
    """Look whether Prefect is there, its workers live, and the last runs did what they should."""
    try:
        api = PrefectApi.from_environment(attempts=1, timeout=5.0)
    except UsageError as error:
        yield looking.warn("schedules", f"{error.summary}: nothing is looked at", error.resolution)
        return
    for pool in _POOLS:
        status = str(api.transport.send("GET", f"/work_pools/{pool}").json().get("status") or "")
        if status.upper() == _READY:
            yield looking.ok("schedules", f"work pool {pool} has a worker")
        else:
            yield looking.fail(
                "schedules", f"work pool {pool} has no worker ({status.lower() or 'unknown'})",
                f"Start it: prefect worker start --pool {pool}", OutsideSystemError.exit_code,
            )  # fmt: skip
    for flow, name in _scheduled(looking):
        try:
            yield _last_run(looking, api, flow, name)
        except CofferError as error:
            yield looking.error("schedules", error)


def _scheduled(looking: Looking) -> Iterator[tuple[str, str]]:
    name, when = looking.environment.name, looking.environment.schedule
    for cron, flow, deployment in (
        (when.incremental, "backup", f"{name}-four-hourly"),
        (when.nightly, "backup", f"{name}-nightly"),
        (when.full, "backup", f"{name}-weekly"),
        (when.drill, "drill", f"{name}-weekly"),
        (when.verify, "vault-verify", name),
        (when.prune, "vault-prune", name),
        (when.watch, "watch", name),
    ):
        if cron:
            yield flow, deployment


def _last_run(looking: Looking, api: PrefectApi, flow: str, name: str) -> Finding:
    what = f"{flow}/{name}"
    if api.deployment(what).get("paused"):
        return looking.warn(what, "its schedule is paused", "Resume it in Prefect when the reason is gone")
    finished = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    runs = api.runs(flow=flow, deployment=name, types=finished, limit=1)
    if not runs:
        return looking.warn(what, "has not run yet", "Start it once by hand, and read what it says")
    last = runs[0]
    age = _age(last.ended)
    if last.succeeded:
        return looking.ok(what, f"last run {age} ago, {last.state.lower()}")
    return looking.fail(what, f"last run {last.name}, {age} ago: {last.state}", "Read its log in Prefect")


def _age(moment: str) -> str:
    if not moment:
        return "some time"
    return said(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))


def _size(number: float) -> str:
    return f"{number / (1 << 30):.1f} GiB"
