"""What a watcher says of itself, for whoever has no key: a small JSON file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class WatchStatus:
    """How far a watcher is.

    Attributes:
        pid: Its process.
        there: Whether the folder is there.
        shipped: Files shipped since it began.
        waiting: Files that are seen and not shipped yet.
        complete: Seconds since the epoch up to which all that had settled is in the vault; 0: not said yet.
    """

    pid: int
    there: bool
    shipped: int
    waiting: int
    complete: float

    def write(self, path: Path) -> None:
        """Put it in place; whoever reads sees the old one or this one."""
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(asdict(self)))
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> WatchStatus | None:
        """Return what a watcher that runs says, or None."""
        try:
            status = cls(**json.loads(path.read_text()))
            os.kill(status.pid, 0)
        except (OSError, ValueError, TypeError):
            return None
        return status
