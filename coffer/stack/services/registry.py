"""Debian's docker-registry (CNCF distribution 2.8), with a notification for every push."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from coffer.stack import files
from coffer.stack.readiness import http_answers
from coffer.stack.service import Service


@dataclass(frozen=True)
class Notification:
    """Where the registry tells about pushes.

    Attributes:
        url: The receiver's address.
        secret: Sent as a bearer token; it is only in the configuration file, which is private.
    """

    url: str
    secret: str = field(repr=False)


def registry(
    name: str, directory: Path, port: int, *, notification: Notification | None = None, after: tuple[str, ...] = ()
) -> Service:
    """Return an OCI registry on 127.0.0.1 which allows deletes.

    Args:
        name: Service name.
        directory: Its own folder, for configuration and images.
        port: Where it listens.
        notification: Who is told about pushes.
        after: Services that must be ready first.
    """
    config = directory / "config.yml"

    def prepare() -> None:
        (directory / "data").mkdir(parents=True, exist_ok=True)
        files.write(config, configuration(directory / "data", port, notification))

    return Service(
        name=name,
        argv=("docker-registry", "serve", str(config)),
        ready=http_answers(f"http://127.0.0.1:{port}/v2/"),
        address=f"127.0.0.1:{port}",
        ports=(port,),
        directory=directory,
        prepare=prepare,
        after=after,
    )


def configuration(data: Path, port: int, notification: Notification | None) -> str:
    """Return config.yml; it is JSON, which is YAML too and needs no escaping rules of its own."""
    document: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn", "fields": {"service": "registry"}},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{port}", "headers": {"X-Content-Type-Options": ["nosniff"]}},
    }
    if notification:
        endpoint = {
            "name": "coffer",
            "url": notification.url,
            "headers": {"Authorization": [f"Bearer {notification.secret}"]},
            "timeout": "2s",
            "threshold": 5,
            "backoff": "1s",
            "ignore": {"actions": ["pull", "mount"]},
        }
        document["notifications"] = {"endpoints": [endpoint]}
    return json.dumps(document, indent=1)
