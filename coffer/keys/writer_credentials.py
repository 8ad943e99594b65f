"""What a host that backs up holds: enough to write a point, not enough to read one back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from coffer.errors import UsageError
from coffer.keys import key_files, signing, xwing


class _WriterFile(msgspec.Struct, tag="coffer-writer-1", tag_field="type", forbid_unknown_fields=True):
    vault: str
    root: str
    configuration: int
    name: str
    signing_key: bytes
    seed: bytes


@dataclass(frozen=True)
class WriterCredentials:
    """A writer's secrets and pins.

    Attributes:
        vault: Vault id, 32 hex digits.
        root: Fingerprint of the root key whose configuration is believed.
        configuration: Lowest configuration number that is believed.
        name: What people call this writer.
        signing_key: Ed25519 secret that signs points.
        seed: X-Wing secret to which the vault's index keys are wrapped: they open names, page maps and facts, no
            content. A new index key reaches the writer by the vault, and not by a new file.
        path: The file it came from; the last known heads are kept beside it.
    """

    vault: str
    root: str
    configuration: int
    name: str
    signing_key: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    path: Path | None = None

    @classmethod
    def generate(cls, vault: str, root: str, configuration: int, name: str) -> WriterCredentials:
        """Make a new writer's secrets, in memory."""
        return cls(vault, root, configuration, name, signing.generate_secret(), xwing.generate_seed())

    @property
    def public(self) -> bytes:
        """The Ed25519 public key that the configuration lists."""
        return signing.public_key(self.signing_key)

    @property
    def id(self) -> str:
        """First 32 hex digits of the public key's fingerprint."""
        return signing.fingerprint(self.public)[:32]

    @property
    def recipient(self) -> bytes:
        """The X-Wing public key that the configuration lists."""
        return xwing.public_key(self.seed)

    @property
    def fingerprint(self) -> str:
        """Which wraps are the writer's: see `Opener`."""
        return hashlib.sha256(self.recipient).hexdigest()[:32]

    @property
    def pins(self) -> Mapping[str, str]:
        """The root it believes, by vault id."""
        return {self.vault: self.root}

    def decapsulate(self, ciphertext: bytes, place: Mapping[str, str]) -> bytes:
        """Return the secret that a ciphertext carries; see `Opener`."""
        return xwing.decapsulate(self.seed, ciphertext)

    @classmethod
    def load(cls, path: Path) -> WriterCredentials:
        """Read a writer file.

        Raises:
            UsageError: The file is absent or is no writer file.
        """
        content = key_files.read(path, _WriterFile, "a writer file", secret=True)
        if len(content.signing_key) != signing.SECRET_SIZE or len(content.seed) != xwing.SEED_SIZE:
            raise UsageError(f"{path} is not a writer file", detail="a key has the wrong length")
        return cls(
            content.vault, content.root, content.configuration, content.name, content.signing_key, content.seed, path
        )

    def save(self, path: Path) -> WriterCredentials:
        """Write a new writer file (0600) and return the credentials that live there.

        Raises:
            UsageError: Something stands there already.
        """
        content = _WriterFile(self.vault, self.root, self.configuration, self.name, self.signing_key, self.seed)
        key_files.create(path, content, secret=True)
        return replace(self, path=path)
