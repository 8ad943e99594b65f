"""`coffer stack status`: what runs, since when, and whether it does its work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from coffer.errors import CofferError
from coffer.stack import certificates
from coffer.stack.house import House, remembered_database
from coffer.stack.layout import Layout
from coffer.stack.ports import Ports
from coffer.stack.service import Service
from coffer.stack.services.docker_engine import ADDRESS, not_answering
from coffer.stack.supervisor import ProcessState
from coffer.stack.up import supervisor_of

_DOWN = ProcessState("DOWN", 0, 0, "not started")


@dataclass(frozen=True)
class ServiceStatus:
    """One line of the table.

    Attributes:
        service: Its name.
        state: `running`, `starting`, `down`, `fatal` …
        pid: Process id, or None.
        address: Where it is reached.
        ready: Whether it does its work.
        reason: Why it is not ready; empty when it is.
        since: Start of its process, ISO 8601, or None.
    """

    service: str
    state: str
    pid: int | None
    address: str
    ready: bool
    reason: str
    since: str | None

    def as_dict(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return asdict(self)


def status(layout: Layout, ports: Ports) -> list[ServiceStatus]:
    """Ask every service of the stack."""
    layout.check()
    if not layout.secrets.is_dir():
        return []
    supervisor = supervisor_of(layout)
    states = supervisor.states()
    house = House(layout, ports, remembered_database(layout), own_engine="dockerd" in states)
    services = house.services(certificates.of(layout.edge))
    with ThreadPoolExecutor(max_workers=len(services)) as pool:
        lines = list(pool.map(lambda service: _ask(service, states.get(service.name, _DOWN)), services))
    return lines if house.own_engine else [_engine(), *lines]


def _ask(service: Service, process: ProcessState) -> ServiceStatus:
    reason: str | None = process.description
    if process.state == "RUNNING":
        try:
            reason = service.ready()
        except (CofferError, OSError) as error:
            reason = str(error)
    since = datetime.fromtimestamp(process.since, UTC).isoformat() if process.since else None
    return ServiceStatus(
        service.name, process.state.lower(), process.pid or None, service.address, reason is None, reason or "", since
    )


def _engine() -> ServiceStatus:
    reason = not_answering()
    return ServiceStatus("docker", "system's", None, ADDRESS, reason is None, reason or "", None)
