"""The service that is released, as its environment's file describes it. No secret's value ever gets in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coffer.release.canonical import digest


@dataclass(frozen=True)
class SecretReference:
    """Where a secret is kept, and a hash that changes when it does.

    Attributes:
        reference: `env:NAME`, `file:PATH` or `block:TYPE/NAME#field`.
        sha256: Hash over the value, salted by its name, so that a plan shows that it changed but not what it is.
    """

    reference: str
    sha256: str = ""


@dataclass(frozen=True)
class ServiceSpec:
    """What every instance of a service gets, in one environment.

    Attributes:
        name: The service.
        environment: The environment it runs in.
        repository: Registry address and name of its image.
        port: Port it listens on inside the container.
        health: Path that answers 200 when it can serve.
        version: Path that answers with the version that serves.
        smoke: Further paths that a new instance must answer before anybody is sent to it (no 404, no 5xx).
        user: User id inside the container.
        memory: Limit, as Docker writes it (`1g`).
        cpus: Limit in cores.
        pids: Limit of processes and threads.
        start_within: Seconds until it must be healthy.
        stop_within: Seconds between SIGTERM and SIGKILL.
        drain: Signal that makes it close WebSockets with 1012 and keep serving; empty if it has no such door.
        reopen: Signal that opens that door again, for an instance that is to serve after all; empty if none is needed.
        migrations: Folder of SQL files inside the image; empty if there is none.
        settings: Plain variables.
        secrets: Variables whose values are resolved only at the target.
        mounts: Container path → path relative to the environment's directory, `:ro` for read-only.
    """

    name: str
    environment: str
    repository: str
    port: int
    health: str = "/api/health/ready"
    version: str = "/api/version"
    smoke: tuple[str, ...] = ()
    user: int = 1001
    memory: str = "1g"
    cpus: float = 0.5
    pids: int = 256
    start_within: float = 30.0
    stop_within: float = 10.0
    drain: str = ""
    reopen: str = ""
    migrations: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings_hash(self) -> str:
        """SHA-256 over everything here: a container with another one has drifted."""
        return digest(self)
