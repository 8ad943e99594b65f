"""`coffer stack down`: nothing of ours is left running, mounted or listening."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from coffer.errors import UsageError
from coffer.stack import certificates
from coffer.stack.house import House, remembered_database
from coffer.stack.layout import Layout
from coffer.stack.leftovers import end_processes, unmount_below
from coffer.stack.lock import alone
from coffer.stack.networks import remove_all
from coffer.stack.ports import Ports
from coffer.stack.service import Service
from coffer.stack.services.docker_engine import client, not_answering
from coffer.stack.supervisor import Supervisor
from coffer.stack.up import supervisor_of


def down(layout: Layout, ports: Ports, *, purge: bool, report: Callable[[str], None]) -> None:
    """End the stack; its data stays unless told otherwise.

    Args:
        layout: Where its files are.
        ports: Where its services listen.
        purge: Remove the state folder too: data, secrets and the vault's identity.
        report: Told what was found and ended.

    Raises:
        CofferError: Something does not go; said in one line.
    """
    if not layout.run.is_dir():
        if purge and layout.state.exists():
            _purge(layout)
        return
    with alone(layout.run):
        supervisor = supervisor_of(layout)
        services = _services(layout, ports)
        _stop(supervisor, services, but={"dockerd"})
        if not_answering() is None:
            for removed in remove_all(client(), layout.state, ports.offset):
                report(f"removed {removed}")
        supervisor.shut_down()
        for pid in end_processes(str(layout.state)):
            report(f"ended process {pid}, which had outlived its parent")
        for point in unmount_below(layout.state):
            report(f"unmounted {point}")
        for service in services:
            service.clean()
        layout.document.unlink(missing_ok=True)
        shutil.rmtree(layout.scratch, ignore_errors=True)
        if purge:
            _purge(layout)


def _services(layout: Layout, ports: Ports) -> tuple[Service, ...]:
    layout.prepare()
    return House(layout, ports, remembered_database(layout)).services(certificates.of(layout.edge))


def _stop(supervisor: Supervisor, services: Iterable[Service], *, but: set[str]) -> None:
    """Stop what runs: whoever waited for others goes before them, side by side where that is possible."""
    running = {name for name, state in supervisor.states().items() if state.pid} - but
    for wave in waves_of_ending(services):
        if names := [name for name in wave if name in running]:
            with ThreadPoolExecutor(max_workers=len(names)) as pool:
                list(pool.map(supervisor.stop, names))


def waves_of_ending(services: Iterable[Service]) -> list[list[str]]:
    """Return the services in groups: a group may end once the groups before it have ended."""
    left = {service.name: set(service.after) for service in services}
    waves = []
    while left:
        needed = set().union(*left.values())
        waves.append(sorted(name for name in left if name not in needed))
        for name in waves[-1]:
            del left[name]
    return waves


def _purge(layout: Layout) -> None:
    """Remove the state folder.

    Raises:
        UsageError: It does not look like one of ours.
    """
    if not layout.marker.exists():
        raise UsageError(
            f"{layout.state} was not made by a stack",
            detail="it was there, with something in it, before the first start",
            resolution="Remove it yourself if nothing else is in it",
        )
    shutil.rmtree(layout.state)
