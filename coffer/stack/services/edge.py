"""HAProxy and NGINX in front of one environment."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from coffer.stack.certificates import EdgeCertificate
from coffer.stack.readiness import http_answers, unix_socket_accepts
from coffer.stack.service import Service
from coffer.targets.docker_host.edge import EdgeSettings, install


def settings(
    directory: Path, certificate: EdgeCertificate, *, https_port: int, http_port: int, service: str
) -> EdgeSettings:
    """Return what the two proxies need; started by root they drop to Debian's accounts for them."""
    return EdgeSettings(
        service=service,
        directory=directory,
        https_port=https_port,
        http_port=http_port,
        certificate=certificate.certificate,
        certificate_key=certificate.key,
        proxy_account=_account("haproxy"),
        edge_account=_account("www-data"),
    )


def haproxy(name: str, edge: EdgeSettings) -> Service:
    """Return HAProxy: it chooses the colour, and is never reloaded."""
    folder = edge.directory / "haproxy"
    return Service(
        name=name,
        argv=("haproxy", "-W", "-db", "-f", str(folder / "haproxy.cfg")),
        ready=unix_socket_accepts(folder / "http.sock"),
        address=f"unix://{folder / 'http.sock'}",
        directory=edge.directory,
        prepare=lambda: install(edge),
    )


def nginx(name: str, edge: EdgeSettings, *, after: str) -> Service:
    """Return NGINX: TLS, limits and headers in front of HAProxy."""
    folder = edge.directory / "nginx"
    return Service(
        name=name,
        argv=("nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")),
        ready=http_answers(f"http://127.0.0.1:{edge.http_port}/", accept=(301, 302, 307, 308)),
        address=f"https://localhost:{edge.https_port}",
        ports=(edge.https_port, edge.http_port),
        directory=edge.directory,
        after=(after,),
        stop_signal="QUIT",
    )


def _account(name: str) -> str:
    if os.geteuid() != 0:
        return ""
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return ""
