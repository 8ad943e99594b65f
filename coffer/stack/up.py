"""`coffer stack up`: from whatever is there to a stack in which everything is ready."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import yaml

from coffer.errors import StepFailed
from coffer.prefect_api.server_setup import apply_work_pool
from coffer.prefect_api.transport import Transport
from coffer.processes import run
from coffer.stack import certificates, document, files, holders, packages
from coffer.stack.approvers import ensure_approver
from coffer.stack.base_image import default_cache, ensure_node_base
from coffer.stack.house import NETWORKS_JOB, POOLS_JOB, REGIONS, VAULT_JOB, House, remembered_database
from coffer.stack.layout import ENVIRONMENTS, Layout
from coffer.stack.lock import alone
from coffer.stack.networks import ensure_networks
from coffer.stack.ports import Ports
from coffer.stack.programs import beside_python
from coffer.stack.progress import Progress
from coffer.stack.readiness import log_tail, wait_until
from coffer.stack.service import Service
from coffer.stack.services.docker_engine import client, not_answering, refuse_without_rights
from coffer.stack.services.seaweedfs import credentials_file
from coffer.stack.steps import Step, run_steps
from coffer.stack.supervisor import Supervisor
from coffer.stack.vault import ensure_vault

_RUNNING = frozenset({"RUNNING", "STARTING"})
_GIVEN_UP = frozenset({"FATAL", "UNKNOWN"})
# The account inside CreditAI's image, as its environment files say.
_SERVICE_USER = 1001


def up(layout: Layout, ports: Ports, *, database: str | None, progress: Progress) -> House:
    """Bring the stack up; what runs already is left alone.

    Args:
        layout: Where its files are.
        ports: Where its services listen.
        database: `sqlite` or `postgres` for Prefect's own data; None for what it was the last time.
        progress: Told how it goes.

    Raises:
        CofferError: A part is missing, a port is taken, or something did not get ready; said in one line.
    """
    layout.check()
    refuse_without_rights()
    engine_runs = not_answering() is None
    packages.ensure(progress.say, without=frozenset({"dockerd", "iptables"}) if engine_runs else frozenset())
    layout.prepare()
    with alone(layout.run):
        return _up(layout, ports, remembered_database(layout, database), progress, engine_runs=engine_runs)


def _up(layout: Layout, ports: Ports, database: str, progress: Progress, *, engine_runs: bool) -> House:
    supervisor = supervisor_of(layout)
    states = supervisor.states()
    # An engine of ours stays ours until `down`.
    own_engine = "dockerd" in states or not engine_runs
    house = House(layout, ports, database, own_engine)
    certificate = certificates.ensure(layout.edge)
    services = house.services(certificate)
    running = {name for name, state in states.items() if state.state in _RUNNING}
    holders.refuse_taken(service for service in services if service.name not in running)
    _write_credentials(house)
    for service in services:
        service.prepare()
    _make_uploads(layout)
    ensure_approver(layout.approvers)
    layout.scratch.mkdir(parents=True, exist_ok=True)
    layout.scratch.chmod(0o711)
    supervisor.apply(services)
    steps = [*(_service_step(supervisor, service) for service in services), *_jobs(house, certificate, progress)]
    run_steps(steps, done=progress.done, waiting=progress.waiting)
    return house


def supervisor_of(layout: Layout) -> Supervisor:
    """Return the supervisor of a layout, running or not."""
    return Supervisor(layout.run, layout.logs, str(layout.state))


def _service_step(supervisor: Supervisor, service: Service) -> Step:
    log = supervisor.log(service.name)

    def ready() -> str | None:
        state = supervisor.states()[service.name]
        if state.state in _GIVEN_UP:
            raise StepFailed(
                f"{service.name} does not stay up", detail=f"{state.description}; {log} ends with: {log_tail(log)}"
            )
        return service.ready() if state.state == "RUNNING" else f"it is {state.state.lower()}"

    def act() -> str:
        already = supervisor.states()[service.name].state == "RUNNING"
        supervisor.start(service.name)
        wait_until(ready, what=service.name, seconds=service.start_seconds, log=log)
        service.finish()
        return "running" if already else "ready"

    return Step(service.name, act, service.after)


def _jobs(house: House, certificate: certificates.EdgeCertificate, progress: Progress) -> list[Step]:
    engine = ("dockerd",) if house.own_engine else ()

    def act(job: Callable[[], object]) -> Callable[[], str]:
        def perform() -> str:
            word = job()
            return word if isinstance(word, str) else "done"

        return perform

    def base_image() -> None:
        ensure_node_base(client(), cache=default_cache(), report=progress.say)

    def networks() -> None:
        ensure_networks(client(), house.layout.state, house.ports.offset)

    def vault() -> str:
        return ensure_vault(house.vault, list(house.stores), house.aws_credentials)

    everything = tuple(f"postgres-{name}" for name in ENVIRONMENTS)
    return [
        Step(NETWORKS_JOB, act(networks), engine),
        Step("base-image", act(base_image), engine),
        Step(VAULT_JOB, vault, tuple(f"s3-{name}" for name in REGIONS)),
        Step("stack.json", act(lambda: document.write(house, certificate)), (VAULT_JOB, NETWORKS_JOB, *everything)),
        # Before the rest of what Prefect is told, so that workers start while that goes on.
        Step(POOLS_JOB, act(lambda: _apply_pools(house)), ("prefect",)),
        Step("deployments", lambda: _apply_deployments(house), (POOLS_JOB, "stack.json")),
    ]


def _apply_pools(house: House) -> None:
    file = house.layout.home / "deployments" / "prefect" / "work-pools.yaml"
    transport = Transport(house.prefect.api_url)
    for pool in yaml.safe_load(file.read_text())["work_pools"]:
        apply_work_pool(transport, pool)
    transport.close()


def _apply_deployments(house: House) -> str:
    """Give Prefect its blocks, deployments and automations, unless nothing about them has changed."""
    stamp, current = house.layout.run / "deployments.applied", _fingerprint(house)
    if stamp.exists() and stamp.read_text() == current:
        return "unchanged"
    command = [beside_python("coffer"), "deployments", "apply", "--home", str(house.layout.home)]
    run(
        [*command, "--stack", str(house.layout.document)],
        timeout=300,
        environment={**house.prefect.client_environment(), "COFFER_STATE": str(house.layout.state)},
        directory=house.layout.home,
    )
    files.write(stamp, current)
    return "applied"


def _fingerprint(house: House) -> str:
    """Return a hash over everything that `deployments apply` reads, and over which database it writes to."""
    home = house.layout.home
    sources = [home / "prefect.yaml", house.layout.document]
    for folder, pattern in (("deployments/prefect", "*.yaml"), ("flows", "*.py"), ("blocks", "*.py")):
        sources += sorted((home / folder).glob(pattern))
    digest = hashlib.sha256(house.database.encode())
    for path in sources:
        digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _write_credentials(house: House) -> None:
    for path, roles in (
        (house.aws_credentials, ("writer", "reader")),
        (house.aws_pruner_credentials, ("pruner", "admin")),
    ):
        profiles = [house.identity(role, region) for role in roles for region in REGIONS]
        files.write(path, credentials_file({profile.name: profile for profile in profiles}))
    # A prune goes to the stores' addresses as everybody has them: the profile that they name is another one's there.
    pruners = {f"writer-{region}": house.identity("pruner", region) for region in REGIONS}
    files.write(house.vault.pruner_credentials, credentials_file(pruners))


def _make_uploads(layout: Layout) -> None:
    for name in ENVIRONMENTS:
        uploads = layout.environment(name) / "uploads"
        uploads.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(uploads, _SERVICE_USER, _SERVICE_USER)
            uploads.chmod(0o770)
