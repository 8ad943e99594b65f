"""A Docker host that a service is released to."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from blocks.reference import DOCUMENTATION, CofferBlock


class DockerHost(CofferBlock):
    """Where a service runs: the engine, its network, and the proxies in front of it.

    Example:
        Load a stored host:
        ```python
        from blocks import DockerHost

        host = DockerHost.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Docker Host"
    _block_type_slug = "coffer-docker-host"
    _documentation_url = DOCUMENTATION

    docker: str = Field(description="Address of the Docker Engine, for example unix:///var/run/docker.sock.")
    network: str = Field(description="Docker network that the service's containers join.")
    directory: str = Field(description="Folder of the host that holds uploads, sockets, proxies and the lease.")
    haproxy_socket: str = Field(description="Path of HAProxy's runtime socket.")
    edge_url: str = Field(description="Address at which people reach the service through NGINX.")
    edge_ca: str = Field(
        default="", description="Path of the certificate authority that signed the edge; empty: the system's."
    )
    uploads: str = Field(default="", description="Folder of uploaded files that recovery points hold.")

    def as_reference(self) -> dict[str, Any]:
        """Return {docker, network, directory, haproxy_socket, edge_url, edge_ca, uploads}."""
        return {name: getattr(self, name) for name in type(self).model_fields}
