"""Identities open points; recipients are what writers know of them: a public key, or the name of a key in a KMS."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coffer.errors import UsageError
from coffer.keys import key_files, xwing
from coffer.keys.opener import KMS, XWING, check_public


class _IdentityFile(msgspec.Struct, tag="coffer-identity-1", tag_field="type", forbid_unknown_fields=True):
    seed: bytes


class _RecipientFile(msgspec.Struct, tag="coffer-recipient-1", tag_field="type", forbid_unknown_fields=True):
    public: bytes
    vaults: dict[str, str] = {}
    kind: str = XWING


@dataclass(frozen=True)
class Recipient:
    """Someone who can open points: public key only.

    Attributes:
        public: X-Wing public key, 1216 bytes; of a KMS key its ARN.
        name: What people call it; the file's name by default.
        vaults: Root fingerprints pinned by vault id: what makes a replaced vault noticed.
        path: The file it came from.
        kind: XWING or KMS.
    """

    public: bytes
    name: str = "recipient"
    vaults: dict[str, str] = field(default_factory=dict)
    path: Path | None = None
    kind: str = XWING

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
        try:
            check_public(content.kind, content.public)
        except ValueError as error:
            raise UsageError(f"{path} is not a recipient file", detail=str(error)) from error
        return cls(content.public, path.name.removesuffix(".pub"), dict(content.vaults), path, content.kind)

    @classmethod
    def of_kms(cls, arn: str) -> Recipient:
        """Return a key in AWS KMS as a recipient: writers need kms:Encrypt, readers kms:Decrypt.

        Raises:
            UsageError: That is no key's ARN.
        """
        try:
            check_public(KMS, arn.encode())
        except ValueError as error:
            raise UsageError(f"{arn!r} is no KMS key", detail=str(error)) from error
        return cls(arn.encode(), arn.rpartition("/")[2], kind=KMS)

    def pin(self, vault: str, root: str) -> Recipient:
        """Remember a vault's root fingerprint, in the file too if there is one.

        Raises:
            UsageError: The file cannot be written.
        """
        vaults = {**self.vaults, vault: root}
        if self.path is not None:
            key_files.replace(self.path, _RecipientFile(self.public, vaults, self.kind), secret=False)
        return Recipient(self.public, self.name, vaults, self.path, self.kind)


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

    @property
    def fingerprint(self) -> str:
        """Its recipient's fingerprint."""
        return self.recipient.fingerprint

    @property
    def pins(self) -> Mapping[str, str]:
        """Root fingerprints pinned in FILE.pub, by vault id."""
        return self.recipient.vaults

    def decapsulate(self, ciphertext: bytes, place: Mapping[str, str]) -> bytes:
        """Return the secret that a ciphertext carries; see `Opener`."""
        return xwing.decapsulate(self.seed, ciphertext)

    @classmethod
    def of_seed(cls, seed: bytes, name: str = "recipient") -> Identity:
        """Return the identity of a seed that is kept in no file."""
        return cls(seed, Recipient(xwing.public_key(seed), name))

    @classmethod
    def generate(cls) -> Identity:
        """Make a new identity in memory."""
        return cls.of_seed(xwing.generate_seed())

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read FILE, and the pins of FILE.pub where it stands beside it.

        Raises:
            UsageError: The file is absent or no identity, or FILE.pub is not its public half.
        """
        content = key_files.read(path, _IdentityFile, "an identity file", secret=True)
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
