"""Secrets of the local stack: made at first start, kept as files that only their owner reads."""

from __future__ import annotations

import contextlib
import os
import secrets as randomness
from pathlib import Path

_BYTES = 24


class Secrets:
    """Secrets by name, one a file.

    They are hexadecimal: they need no escaping in an address, a connection string or a configuration file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """Return the file of a secret, made now when it is missing."""
        path = self.directory / name
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(randomness.token_hex(_BYTES))
        return path

    def get(self, name: str) -> str:
        """Return a secret, made now when it is missing."""
        return self.path(name).read_text().strip()
