"""Where a Docker host is, and where things are on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coffer.errors import UsageError
from coffer.release.observed import Colour


@dataclass(frozen=True)
class DockerHostSettings:
    """One environment's place on one Docker host.

    Attributes:
        docker: Address of the engine.
        network: Network of the environment's containers.
        directory: The environment's directory on the host.
        haproxy_socket: HAProxy's admin socket.
        edge_url: Address that people use; empty where there is no edge.
        edge_ca: Certificate that signed the edge's; empty for the system's.
        database: Connection that runs migrations; empty where there are none.
        registry_username: For pulling; empty for an open registry.
        registry_password: For pulling.
        labels: Further labels for containers.
        cpu_shares: Weight of a container where the processor is short; what only tests gives way to what serves.
    """

    docker: str
    network: str
    directory: Path
    haproxy_socket: Path
    edge_url: str = ""
    edge_ca: str = ""
    database: str = field(default="", repr=False)
    registry_username: str = ""
    registry_password: str = field(default="", repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    cpu_shares: int = 1024

    @classmethod
    def from_mapping(cls, value: Mapping[str, object], *, database: str = "") -> DockerHostSettings:
        """Read what a `docker-host` reference resolves to.

        Raises:
            UsageError: A field is missing.
        """
        missing = [name for name in ("docker", "network", "directory", "haproxy_socket") if not value.get(name)]
        if missing:
            raise UsageError("this does not name a Docker host", detail=f"missing: {', '.join(missing)}")
        return cls(
            docker=str(value["docker"]),
            network=str(value["network"]),
            directory=Path(str(value["directory"])),
            haproxy_socket=Path(str(value["haproxy_socket"])),
            edge_url=str(value.get("edge_url") or ""),
            edge_ca=str(value.get("edge_ca") or ""),
            database=database,
        )

    @property
    def map_file(self) -> Path:
        """The map that HAProxy's configuration names."""
        return self.directory / "haproxy" / "active.map"

    @property
    def proxy_file(self) -> Path:
        """HAProxy's configuration, which holds the addresses that it starts from."""
        return self.directory / "haproxy" / "haproxy.cfg"

    @property
    def front_socket(self) -> Path:
        """HAProxy's door that NGINX uses."""
        return self.directory / "haproxy" / "http.sock"

    def alone_socket(self, colour: Colour) -> Path:
        """HAProxy's door to one colour alone."""
        return self.directory / "haproxy" / f"{colour}.sock"
