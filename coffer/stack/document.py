"""stack.json: what blocks, flows and people read to find everything that runs."""

from __future__ import annotations

import json

from coffer.stack import files
from coffer.stack.approvers import APPROVER
from coffer.stack.base_image import REFERENCE
from coffer.stack.certificates import EdgeCertificate
from coffer.stack.house import House
from coffer.stack.layout import ENVIRONMENTS
from coffer.stack.networks import network_name
from coffer.stack.services.docker_engine import ADDRESS
from coffer.stack.services.postgres import ADMIN_ROLE, BACKUP_ROLE


def document(house: House, certificate: EdgeCertificate) -> dict[str, object]:
    """Return the document. It holds passwords: it is for its owner only."""
    return {
        "state": str(house.layout.state),
        "port_offset": house.ports.offset,
        "prefect_api_url": house.prefect.api_url,
        "prefect_database": house.prefect_database,
        "registry": house.registry_address,
        "receiver_url": f"http://127.0.0.1:{house.ports.receiver}",
        "receiver_secret_file": str(house.secrets.path("receiver")),
        "docker": ADDRESS,
        "base_image": REFERENCE,
        "reports": str(house.layout.reports),
        "approver_key": str(house.layout.approvers / APPROVER),
        "aws_credentials_file": str(house.aws_credentials),
        "stores": list(house.stores),
        "vault": {
            "writer_file": str(house.vault.writer),
            "recipient_file": str(house.vault.recipient),
            "identity_file": str(house.vault.identity),
        },
        "mail": {"host": "127.0.0.1", "port": house.ports.smtp, "maildir": str(house.maildir)},
        "environments": {name: _environment(house, certificate, name) for name in ENVIRONMENTS},
    }


def write(house: House, certificate: EdgeCertificate) -> None:
    """Put the document in place."""
    files.write(house.layout.document, json.dumps(document(house, certificate), indent=2) + "\n")


def _environment(house: House, certificate: EdgeCertificate, name: str) -> dict[str, str]:
    directory, cluster = house.layout.environment(name), house.cluster(name)
    return {
        "network": network_name(name, house.ports.offset),
        "directory": str(directory),
        "haproxy_socket": str(directory / "haproxy" / "admin.sock"),
        "edge_url": f"https://localhost:{house.ports.edge_https[name]}",
        "edge_ca": str(certificate.authority),
        "database_url": cluster.url_in_container(),
        "admin_conninfo": cluster.conninfo(ADMIN_ROLE),
        "backup_conninfo": cluster.conninfo(BACKUP_ROLE),
        "redis_url": "unix:///run/redis/redis.sock",
        "redis_socket": str(house.layout.sockets(name, "redis") / "redis.sock"),
        "uploads": str(directory / "uploads"),
    }
