"""What the root says of its vault: who may open, who may write, how long points are kept; and the object it is."""

from __future__ import annotations

import hashlib

import msgspec

from coffer.errors import IntegrityError
from coffer.keys import signing
from coffer.keys.opener import XWING
from coffer.vault import frames, names
from coffer.vault.frames import ObjectKind


class RecipientRecord(msgspec.Struct, frozen=True):
    """Someone to whom keys are wrapped.

    Attributes:
        name: What people call them.
        public: X-Wing public key, or a KMS key's ARN.
        kind: XWING or KMS; see `coffer.keys.opener`.
    """

    name: str
    public: bytes
    kind: str = XWING

    @property
    def fingerprint(self) -> bytes:
        """First 16 bytes of SHA-256 of the public key."""
        return hashlib.sha256(self.public).digest()[:16]


class WriterRecord(msgspec.Struct, frozen=True):
    """Someone whose signature makes a point genuine.

    Attributes:
        name: What people call them.
        public: Ed25519 public key.
        recipient: X-Wing public key to which the index keys are wrapped, and no others.
        revoked_ns: When they were revoked; 0: active.
        kept: SHA-256 of what a revoked writer had committed and that stays genuine.
    """

    name: str
    public: bytes
    recipient: bytes
    revoked_ns: int = 0
    kept: list[bytes] = []

    @property
    def id(self) -> str:
        """First 32 hex digits of the public key's fingerprint."""
        return signing.fingerprint(self.public)[:32]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the root says: who may open, who may write, how long points are kept.

    `index_keys` are the commitments of all index keys, numbered from 1 in their order: the last is in use, the others
    open what was sealed before. A new one comes when a recipient or writer goes who knew the last.
    """

    vault: bytes
    number: int
    root: bytes
    previous: bytes
    created_ns: int
    recipients: list[RecipientRecord]
    writers: list[WriterRecord]
    index_keys: list[bytes]
    retention: dict[str, int | float | str] = {}

    @property
    def fingerprint(self) -> str:
        """The root key's fingerprint, which writers and recipients pin."""
        return signing.fingerprint(self.root)

    @property
    def name_readers(self) -> list[RecipientRecord]:
        """To whom the index keys are wrapped: recipients and active writers."""
        active = [writer for writer in self.writers if not writer.revoked_ns]
        return [*self.recipients, *(RecipientRecord(each.name, each.recipient) for each in active)]

    def writer(self, writer_id: str) -> WriterRecord | None:
        """Return a writer by id."""
        return next((writer for writer in self.writers if writer.id == writer_id), None)


def publish(configuration: Configuration, root_secret: bytes) -> tuple[str, bytes]:
    """Return the name and bytes of a configuration object."""
    object_id = names.new_id()
    body = frames.encode(configuration)
    data = frames.sign(ObjectKind.CONFIGURATION, configuration.vault, object_id, root_secret, body)
    return names.name_of(f"{names.CONFIGURATION}/{configuration.number:08d}", object_id, data), data


def open_object(data: bytes, name: str) -> Configuration:
    """Check that the root that a configuration names has signed it, and return it.

    Raises:
        IntegrityError: It was forged, altered or moved.
        UsageError: A newer Coffer wrote it.
    """
    object_id = names.ObjectName.parse(name).id
    frames.check_header(ObjectKind.CONFIGURATION, data, name)
    claimed = frames.decode(data[frames.SIGNED_SIZE :], Configuration, name)
    frames.open_signed(ObjectKind.CONFIGURATION, claimed.vault, object_id, claimed.root, data, name)
    if claimed.number != number_of(name):
        raise IntegrityError("A configuration stands under another number", detail=name)
    return claimed


def number_of(name: str) -> int:
    """Return the number in a configuration's name; -1 if that is none."""
    place = name.split("/")[1]
    return int(place) if len(place) == 8 and place.isdecimal() and place.isascii() else -1
