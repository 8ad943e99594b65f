"""The watcher that ships production's uploads to the vault while they are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from coffer.sources.watching.status import WatchStatus
from coffer.stack import files
from coffer.stack.programs import beside_python
from coffer.stack.service import Service


@dataclass(frozen=True)
class WatchSettings:
    """What `coffer files watch` reads from its configuration file.

    Attributes:
        stores: The vault's stores.
        aws_credentials_file: Holds the profiles that the stores name.
        writer_file: The vault writer's credentials.
        path: The folder.
        service: Whose files.
        status_file: Where the watcher says how far it is.
    """

    stores: tuple[str, ...]
    aws_credentials_file: Path
    writer_file: Path
    path: Path
    service: str
    status_file: Path

    def document(self) -> str:
        """Return the file: TOML, whose strings and lists JSON writes alike."""
        values: dict[str, object] = {
            "stores": list(self.stores),
            "aws_credentials_file": str(self.aws_credentials_file),
            "writer_file": str(self.writer_file),
            "path": str(self.path),
            "service": self.service,
            "status_file": str(self.status_file),
        }
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def files_watcher(name: str, config: Path, settings: WatchSettings, *, after: tuple[str, ...]) -> Service:
    """Return the watcher; it is ready when it looks at the folder, or for one that no release has made yet.

    Args:
        name: Service name.
        config: Where its configuration file goes (0600).
        settings: What stands in it.
        after: Services and jobs that come first.
    """

    def ready() -> str | None:
        return None if WatchStatus.read(settings.status_file) else "it does not watch yet"

    return Service(
        name=name,
        argv=(beside_python("coffer"), "files", "watch", "--config", str(config)),
        ready=ready,
        address=str(settings.path),
        # The status stays: this is repeated while the watcher runs, and what a dead process left counts as none.
        prepare=lambda: files.write(config, settings.document()),
        after=after,
    )
