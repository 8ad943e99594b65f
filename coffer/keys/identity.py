"""Identities open points; recipients are their public halves, which writers hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coffer.errors import UsageError
from coffer.keys import key_files, xwing


class _IdentityFile(msgspec.Struct, tag="coffer-identity-1", tag_field="type", forbid_unknown_fields=True):
    seed: bytes


class _RecipientFile(msgspec.Struct, tag="coffer-recipient-1", tag_field="type", forbid_unknown_fields=True):
    public: bytes
    vaults: dict[str, str] = {}


@dataclass(frozen=True)
class Recipient:
    """Someone who can open points: public key only.

    Attributes:
        public: X-Wing public key, 1216 bytes.
        name: What people call it; the file's name by default.
        vaults: Root fingerprints pinned by vault id: what makes a replaced vault noticed.
        path: The file it came from.
    """

    public: bytes
    name: str = "recipient"
    vaults: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    @property
    def fingerprint(self) -> str:
        """Hex of the first 16 bytes of SHA-256 of the public key."""
        return hashlib.sha256(self.public).hexdigest()[:32]

    @classmethod
    def load(cls, path: Path) -> Recipient:
        """Read FILE.pub.

        Raises:
            UsageError: The file is absent or is no recipient.
        """
        content = key_files.read(path, _RecipientFile, "a recipient file")
        if len(content.public) != xwing.PUBLIC_SIZE:
            raise UsageError(f"{path} is not a recipient file", detail="its key has the wrong length")
        return cls(content.public, path.name.removesuffix(".pub"), dict(content.vaults), path)

    def pin(self, vault: str, root: str) -> Recipient:
        """Remember a vault's root fingerprint, in the file too if there is one.

        Raises:
            UsageError: The file cannot be written.
        """
        vaults = {**self.vaults, vault: root}
        if self.path is not None:
            key_files.replace(self.path, _RecipientFile(self.public, vaults), secret=False)
        return Recipient(self.public, self.name, vaults, self.path)


@dataclass(frozen=True)
class Identity:
    """The secret that opens points.

    Attributes:
        seed: X-Wing secret key, 32 bytes.
        recipient: Its public half, with the roots pinned in FILE.pub where that stands beside FILE.
        path: The file it came from.
    """

    seed: bytes = field(repr=False)
    recipient: Recipient
    path: Path | None = None

    @classmethod
    def generate(cls) -> Identity:
        """Make a new identity in memory."""
        seed = xwing.generate_seed()
        return cls(seed, Recipient(xwing.public_key(seed)))

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read FILE, and the pins of FILE.pub where it stands beside it.

        Raises:
            UsageError: The file is absent or no identity, or FILE.pub is not its public half.
        """
        content = key_files.read(path, _IdentityFile, "an identity file")
        if len(content.seed) != xwing.SEED_SIZE:
            raise UsageError(f"{path} is not an identity file", detail="its key has the wrong length")
        recipient = Recipient(xwing.public_key(content.seed), path.name)
        beside = public_path(path)
        if beside.exists():
            pinned = Recipient.load(beside)
            if pinned.public != recipient.public:
                raise UsageError(f"{beside} is not the public half of {path}")
            recipient = pinned
        return cls(content.seed, recipient, path)


def public_path(path: Path) -> Path:
    """Return where the public half of an identity file stands."""
    return path.with_name(path.name + ".pub")


def generate_identity(path: Path) -> Identity:
    """Make an identity: the secret in FILE (0600), the public recipient in FILE.pub.

    Raises:
        UsageError: One of the two exists already or cannot be written.
    """
    identity = Identity.generate()
    if public_path(path).exists():
        raise UsageError(f"{public_path(path)} exists already", resolution="Keys are never overwritten")
    key_files.create(path, _IdentityFile(identity.seed), secret=True)
    key_files.create(public_path(path), _RecipientFile(identity.recipient.public), secret=False)
    return Identity.load(path)
