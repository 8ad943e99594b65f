"""Prefect: the server, and one process worker a pool."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.prefect_api.transport import Transport
from coffer.stack.readiness import http_answers
from coffer.stack.service import Service

# Nothing is reported to anybody, and no plug-in asks the internet for news.
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_CLI_COLORS": "false",
    "NO_COLOR": "1",
}


@dataclass(frozen=True)
class Prefect:
    """What server and workers share.

    Attributes:
        directory: PREFECT_HOME: database (unless it is elsewhere), results.
        port: Of API and UI.
        database_url: SQLAlchemy address; empty for SQLite in `directory`.
        database_service: Service that keeps the database, when it is not SQLite.
    """

    directory: Path
    port: int
    database_url: str = ""
    database_service: str = ""

    @property
    def api_url(self) -> str:
        """Return the API's address."""
        return f"http://127.0.0.1:{self.port}/api"

    def client_environment(self) -> dict[str, str]:
        """Return the variables of everything that speaks to this server."""
        return {"PREFECT_API_URL": self.api_url, "PREFECT_HOME": str(self.directory), **_QUIET}


def server(prefect: Prefect) -> Service:
    """Return the service of API, UI, scheduler and automations."""
    database = {"PREFECT_API_DATABASE_CONNECTION_URL": prefect.database_url} if prefect.database_url else {}
    return Service(
        name="prefect",
        argv=(*_prefect(), "server", "start", "--host", "127.0.0.1", "--port", str(prefect.port)),
        ready=http_answers(f"{prefect.api_url}/health"),
        address=f"http://127.0.0.1:{prefect.port}",
        ports=(prefect.port,),
        environment={"PREFECT_HOME": str(prefect.directory), **_QUIET, **database},
        directory=prefect.directory,
        prepare=lambda: prefect.directory.mkdir(parents=True, exist_ok=True),
        after=(prefect.database_service,) if prefect.database_service else (),
        start_seconds=240,
    )


def worker(
    prefect: Prefect, pool: str, *, limit: int, environment: Mapping[str, str], after: tuple[str, ...]
) -> Service:
    """Return the service of one process worker.

    Args:
        prefect: The server it works for.
        pool: Its work pool, which must exist.
        limit: Runs at the same time.
        environment: What its flows need to know; nothing else of ours reaches them.
        after: Services and jobs that come first.
    """
    name = f"worker-{pool}"
    options = ("--pool", pool, "--type", "process", "--name", name, "--limit", str(limit))
    answers = http_answers(f"{prefect.api_url}/health")

    def ready() -> str | None:
        return answers() or _not_polling(prefect, pool, name)

    return Service(
        name=name,
        argv=(*_prefect(), "worker", "start", *options),
        ready=ready,
        address=f"pool {pool}",
        # The default of 10 s between two looks for work would be most of what a short flow takes.
        environment={**prefect.client_environment(), "PREFECT_WORKER_QUERY_SECONDS": "1", **environment},
        directory=prefect.directory,
        after=("prefect", *after),
        stop_seconds=15,
        start_seconds=180,
    )


def _prefect() -> tuple[str, ...]:
    return (sys.executable, "-m", "prefect")


def _not_polling(prefect: Prefect, pool: str, worker_name: str) -> str | None:
    transport = Transport(prefect.api_url)
    answer = transport.send("POST", f"/work_pools/{pool}/workers/filter", {}).json()
    transport.close()
    online = [entry["name"] for entry in answer if entry["status"] == "ONLINE"]
    return None if worker_name in online else f"pool {pool} has not heard from {worker_name}"
