"""What a pruner holds: which vault it may prune, and the store identity that may delete. No key of the vault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from coffer.keys import key_files


class _PrunerFile(msgspec.Struct, tag="coffer-pruner-1", tag_field="type", forbid_unknown_fields=True):
    vault: str
    root: str
    credentials_file: str | None = None


@dataclass(frozen=True)
class PrunerCredentials:
    """A pruner's pins.

    Attributes:
        vault: Vault id, 32 hex digits.
        root: Fingerprint of the root key whose configuration is believed.
        credentials_file: AWS credentials file of the identity that may delete; writers have none such.
        path: The file it came from; the highest configuration seen is kept beside it.
    """

    vault: str
    root: str
    credentials_file: Path | None = None
    path: Path | None = None

    @classmethod
    def load(cls, path: Path) -> PrunerCredentials:
        """Read a pruner file.

        Raises:
            UsageError: The file is absent or is no pruner file.
        """
        content = key_files.read(path, _PrunerFile, "a pruner file", secret=True)
        credentials = Path(content.credentials_file) if content.credentials_file else None
        return cls(content.vault, content.root, credentials, path)

    def save(self, path: Path) -> None:
        """Write a new pruner file (0600).

        Raises:
            UsageError: Something stands there already.
        """
        credentials = str(self.credentials_file) if self.credentials_file else None
        key_files.create(path, _PrunerFile(self.vault, self.root, credentials), secret=True)
