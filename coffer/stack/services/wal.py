"""The receiver that ships production's WAL to the vault while it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from coffer.stack import files
from coffer.stack.programs import beside_python
from coffer.stack.service import Service
from coffer.stack.services.postgres import Cluster

SLOT = "coffer"


@dataclass(frozen=True)
class WalSettings:
    """What `coffer wal` reads from its configuration file.

    Attributes:
        stores: The vault's stores.
        aws_credentials_file: Holds the profiles that the stores name.
        writer_file: The vault writer's credentials.
        conninfo: Replication connection.
    """

    stores: tuple[str, ...]
    aws_credentials_file: Path
    writer_file: Path
    conninfo: str = field(repr=False)

    def document(self) -> str:
        """Return the file: TOML, whose strings and lists JSON writes alike."""
        values: dict[str, object] = {
            "stores": list(self.stores),
            "aws_credentials_file": str(self.aws_credentials_file),
            "writer_file": str(self.writer_file),
            "conninfo": self.conninfo,
            "slot": SLOT,
        }
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def wal_receiver(
    name: str, config: Path, settings: WalSettings, cluster: Cluster, *, after: tuple[str, ...]
) -> Service:
    """Return the receiver; it is ready when its replication slot is in use.

    Args:
        name: Service name.
        config: Where its configuration file goes (0600).
        settings: What stands in it.
        cluster: The cluster it receives from.
        after: Services and jobs that come first.
    """

    def ready() -> str | None:
        with cluster.server().connect() as connection:
            query = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
            row = connection.execute(query, [SLOT]).fetchone()
        return None if row == (True,) else f"replication slot {SLOT} is {'not in use' if row else 'not there'}"

    return Service(
        name=name,
        argv=(beside_python("coffer"), "wal", "receive", "--config", str(config)),
        ready=ready,
        address=f"slot {SLOT} of {cluster.name}",
        prepare=lambda: files.write(config, settings.document()),
        after=(cluster.name, *after),
    )
