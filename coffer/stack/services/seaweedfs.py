"""SeaweedFS as one S3 region: a store with versioning, Object Lock and conditional puts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from coffer.stack import files
from coffer.stack.programs import beside_python
from coffer.stack.readiness import http_answers
from coffer.stack.service import Service
from coffer.stack.services.s3_policies import ROLES, policy

_ADMIN_ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]
# The server waits 15 s for streams that its own parts hold open, and each acknowledged byte is with the kernel
# before that: killing it then loses nothing.
_STOP_SECONDS = 2


@dataclass(frozen=True)
class S3Identity:
    """Who may speak to a region.

    Attributes:
        name: Also the profile's name in the AWS credentials file.
        access_key: Public half.
        secret_key: Private half.
        admin: Everything, instead of what its role may.
        role: `writer`, `reader` or `pruner`; see `s3_policies`.
    """

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    admin: bool = False
    role: str = "writer"


@dataclass(frozen=True)
class SeaweedPorts:
    """The eight ports that one server takes; only `s3` is spoken to from outside."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int

    def all(self) -> tuple[int, ...]:
        """Return every port."""
        return tuple(vars(self).values())


def identities_document(identities: tuple[S3Identity, ...]) -> str:
    """Return the S3 gateway's identity file (its `policies` are AWS policy documents)."""
    people = [
        {
            "name": identity.name,
            "credentials": [{"accessKey": identity.access_key, "secretKey": identity.secret_key}],
            **({"actions": _ADMIN_ACTIONS} if identity.admin else {"actions": [], "policyNames": [identity.role]}),
        }
        for identity in identities
    ]
    policies = [{"name": role, "content": policy(role)} for role in ROLES]
    return json.dumps({"identities": people, "policies": policies}, indent=1)


def credentials_file(profiles: Mapping[str, S3Identity]) -> str:
    """Return an AWS shared credentials file with one profile an identity."""
    return "\n".join(
        f"[{name}]\naws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n"
        for name, who in profiles.items()
    )


def seaweedfs(name: str, directory: Path, ports: SeaweedPorts, identities: tuple[S3Identity, ...]) -> Service:
    """Return the service of one region.

    Args:
        name: Service name, such as `s3-a`.
        directory: Its own folder; data and identity file are made inside.
        ports: All of them, since two servers side by side must not meet.
        identities: Nobody else may speak to it.
    """
    config = directory / "identities.json"
    data = directory / "data"

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        files.write(config, identities_document(identities))

    return Service(
        name=name,
        argv=_argv(directory, data, config, ports),
        ready=lambda: _not_ready(ports),
        address=f"http://127.0.0.1:{ports.s3}",
        ports=ports.all(),
        directory=directory,
        prepare=prepare,
        clean=lambda: _remove_sockets(ports),
        stop_seconds=_STOP_SECONDS,
    )


def _not_ready(ports: SeaweedPorts) -> str | None:
    if reason := http_answers(f"http://127.0.0.1:{ports.s3}/healthz")():
        return reason
    # The gateway answers before its volume server has reported: until then every read of an object would wait.
    answer = httpx.get(f"http://127.0.0.1:{ports.master}/dir/status", timeout=2, trust_env=False)
    return None if answer.json()["Topology"].get("Max") else "no volume server has reported to the master"


def _argv(directory: Path, data: Path, config: Path, ports: SeaweedPorts) -> tuple[str, ...]:
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": ports.master,
        "master.port.grpc": ports.master_grpc,
        # The only master there will be: it leads at once, instead of waiting up to 15 s for votes.
        "master.peers": "none",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports.volume,
        "volume.port.grpc": ports.volume_grpc,
        "volume.max": 100,
        "volume.preStopSeconds": 0,
        "filer.port": ports.filer,
        "filer.port.grpc": ports.filer_grpc,
        "filer.localSocket": directory / "filer.sock",
        "s3": "true",
        "s3.port": ports.s3,
        "s3.port.grpc": ports.s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "s3.config": config,
        "s3.localSocket": directory / "s3.sock",
    }
    words = (f"-{name}={value}" for name, value in options.items())
    return (beside_python("weed"), "-logtostderr=true", "server", *words)


def _remove_sockets(ports: SeaweedPorts) -> None:
    # The server puts these at a fixed place, whatever TMPDIR says, and leaves them when it is killed.
    grpc = {"s3": ports.s3_grpc, "master": ports.master_grpc, "volume": ports.volume_grpc, "filer": ports.filer_grpc}
    for part, port in grpc.items():
        Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108
