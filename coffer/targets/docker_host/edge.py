"""The proxies in front of a Docker host: NGINX at the edge, HAProxy behind it, as files to start them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from coffer.errors import UsageError
from coffer.targets.docker_host import files, servers_file

# A UNIX socket's address holds 108 bytes, the closing zero included.
_LONGEST_SOCKET = 107
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What a release writes while it runs; a second `install` must not take it back to the beginning.
KEPT = frozenset({"haproxy/active.map"})


@dataclass(frozen=True)
class StrictPath:
    """A path with a limit of its own beside the general one.

    Attributes:
        name: Name of the NGINX zone: letters and underscores.
        method: HTTP method that counts.
        path: Exact path.
        per_minute: Requests a minute and address.
        burst: Requests that may come at once.
    """

    name: str
    method: str
    path: str
    per_minute: int
    burst: int


@dataclass(frozen=True)
class EdgeSettings:
    """What the two proxies of one environment need to know.

    Attributes:
        service: Name of the service, shown while nothing is released.
        directory: The environment's directory; `haproxy/` and `nginx/` are made in it.
        https_port: Port for HTTPS and WebSocket.
        http_port: Port that only redirects to HTTPS.
        certificate: PEM file with the certificate chain.
        certificate_key: PEM file with its key.
        health: Path that answers 200 when an instance can serve.
        server_name: Names that NGINX answers to.
        address: Address to listen on.
        proxy_account: Account that HAProxy drops to when root starts it; empty keeps the starter's.
        edge_account: Account of NGINX's workers when root starts it; empty where another account starts it.
        per_minute: Requests a minute and address.
        burst: Requests that may come at once, for a page with its assets.
        strict: Paths with limits of their own.
        body_limit: Largest request body, as NGINX writes sizes.
        content_security_policy: Value of the header.
    """

    service: str
    directory: Path
    https_port: int
    http_port: int
    certificate: Path
    certificate_key: Path
    health: str = "/api/health/ready"
    server_name: str = "localhost"
    address: str = "127.0.0.1"
    proxy_account: str = ""
    edge_account: str = ""
    per_minute: int = 100
    burst: int = 50
    strict: tuple[StrictPath, ...] = (StrictPath("sessions", "POST", "/api/sessions", 20, 10),)
    body_limit: str = "25m"
    content_security_policy: str = _CONTENT_SECURITY_POLICY


class _Template(Template):
    # `$` belongs to NGINX and `%` to HAProxy.
    delimiter = "@"


def render(settings: EdgeSettings) -> Mapping[str, str]:
    """Return the files, by path relative to the environment's directory.

    Keys are `haproxy/haproxy.cfg`, `haproxy/active.map` and `nginx/nginx.conf`. Those in `KEPT` are only for an
    environment that has none yet; `install` also keeps the servers' addresses in `haproxy.cfg`.

    Raises:
        UsageError: The directory's name is too long for a UNIX socket.
    """
    longest = settings.directory / "haproxy" / "admin.sock.12345.tmp"
    if len(str(longest)) > _LONGEST_SOCKET:
        raise UsageError(
            "the environment's directory has too long a name",
            detail=f"{longest} has {len(str(longest))} characters, a UNIX socket may have {_LONGEST_SOCKET}",
            resolution="Set COFFER_STATE to a shorter path",
        )
    return {
        "haproxy/haproxy.cfg": _fill("haproxy.cfg", settings, _account_of_haproxy(settings)),
        "haproxy/active.map": "active none\n",
        "nginx/nginx.conf": _fill("nginx.conf", settings, _account_of_nginx(settings)),
    }


def install(settings: EdgeSettings) -> None:
    """Write the files that `render` returns and make the directories; what a release wrote stays as it is."""
    for folder in ("haproxy", "nginx", "nginx/temp"):
        path = settings.directory / folder
        path.mkdir(parents=True, exist_ok=True)
        # NGINX's workers and HAProxy walk through these under accounts of their own.
        path.chmod(0o711)
    for name, text in render(settings).items():
        path = settings.directory / name
        if name in KEPT and path.exists():
            continue
        kept = servers_file.addresses(path.read_text()) if path.exists() else {}
        files.replace(path, servers_file.with_addresses(text, kept))


def _fill(template: str, settings: EdgeSettings, account: str) -> str:
    text = resources.files("coffer.targets.docker_host").joinpath("templates", template).read_text()
    return _Template(text).substitute(
        directory=settings.directory,
        service=settings.service,
        account=account,
        health=settings.health,
        body_limit=settings.body_limit,
        rate=settings.per_minute,
        burst=settings.burst,
        strict_zones="\n".join(_zone(strict) for strict in settings.strict),
        strict_limits="\n".join(f"        limit_req zone={s.name} burst={s.burst} nodelay;" for s in settings.strict),
        address=settings.address,
        http_port=settings.http_port,
        https_port=settings.https_port,
        server_name=settings.server_name,
        certificate=settings.certificate,
        certificate_key=settings.certificate_key,
        content_security_policy=settings.content_security_policy,
    )


def _zone(strict: StrictPath) -> str:
    # An empty key is not counted: only this method on this path is.
    return (
        f'    map "$request_method $uri" $key_{strict.name} {{\n'
        f'        "{strict.method} {strict.path}" $binary_remote_addr;\n'
        f'        default "";\n    }}\n'
        f"    limit_req_zone $key_{strict.name} zone={strict.name}:5m rate={strict.per_minute}r/m;"
    )


def _account_of_haproxy(settings: EdgeSettings) -> str:
    return f"    user {settings.proxy_account}" if settings.proxy_account else ""


def _account_of_nginx(settings: EdgeSettings) -> str:
    return f"user {settings.edge_account};" if settings.edge_account else ""
