"""What a host that backs up holds: enough to write a point, not enough to read one back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coffer.errors import UsageError
from coffer.keys import key_files, signing


class _WriterFile(msgspec.Struct, tag="coffer-writer-1", tag_field="type", forbid_unknown_fields=True):
    vault: str
    root: str
    configuration: int
    name: str
    signing_key: bytes
    index_key: bytes


@dataclass(frozen=True)
class WriterCredentials:
    """A writer's secrets and pins.

    Attributes:
        vault: Vault id, 32 hex digits.
        root: Fingerprint of the root key whose configuration is believed.
        configuration: Lowest configuration number that is believed.
        name: What people call this writer.
        signing_key: Ed25519 secret that signs points.
        index_key: Opens names, page maps and facts; no content.
        path: The file it came from; the last known heads are kept beside it.
    """

    vault: str
    root: str
    configuration: int
    name: str
    signing_key: bytes = field(repr=False)
    index_key: bytes = field(repr=False)
    path: Path | None = None

    @property
    def public(self) -> bytes:
        """The Ed25519 public key that the configuration lists."""
        return signing.public_key(self.signing_key)

    @property
    def id(self) -> str:
        """First 32 hex digits of the public key's fingerprint."""
        return signing.fingerprint(self.public)[:32]

    @classmethod
    def load(cls, path: Path) -> WriterCredentials:
        """Read a writer file.

        Raises:
            UsageError: The file is absent or is no writer file.
        """
        content = key_files.read(path, _WriterFile, "a writer file")
        if len(content.signing_key) != signing.SECRET_SIZE or len(content.index_key) != 32:
            raise UsageError(f"{path} is not a writer file", detail="a key has the wrong length")
        return cls(
            content.vault,
            content.root,
            content.configuration,
            content.name,
            content.signing_key,
            content.index_key,
            path,
        )

    def save(self, path: Path) -> WriterCredentials:
        """Write a new writer file (0600) and return the credentials that live there.

        Raises:
            UsageError: Something stands there already.
        """
        content = _WriterFile(self.vault, self.root, self.configuration, self.name, self.signing_key, self.index_key)
        key_files.create(path, content, secret=True)
        return WriterCredentials.load(path)
