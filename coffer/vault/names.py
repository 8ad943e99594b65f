"""Object names: `PREFIX/ID-SHA256`, so that anyone can check the bytes at rest."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from coffer.errors import IntegrityError, UsageError
from coffer.vault.stores.protocol import Buffer

CONFIGURATION = "config"
KEYS = "keys"
PACKS = "packs"
TREES = "trees"
INDEX = "index"
LISTS = "lists"
POINTS = "points"
WAL = "wal"
PROOFS = "proofs"
MARKS = "marks"
JOURNAL = "journal"
RUN_KEYS = f"{KEYS}/run-"
"""Keys of runs: `keys/run-KEYID`, wrapped anew under another name when recipients change."""

_NAME = re.compile(r"(?P<prefix>[A-Za-z0-9._/-]+)/(?P<id>[0-9a-f]{32})-(?P<sha256>[0-9a-f]{64})")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")


@dataclass(frozen=True)
class ObjectName:
    """A name, taken apart.

    Attributes:
        prefix: Where it stands: `packs/ab`, `points/creditai/000001-…`.
        id: 128 random bits fixed before sealing (trees: from their content).
        sha256: Of the object's bytes.
    """

    prefix: str
    id: bytes
    sha256: bytes

    @classmethod
    def parse(cls, name: str) -> ObjectName:
        """Take a name apart.

        Raises:
            IntegrityError: No object of a vault is called so.
        """
        match = _NAME.fullmatch(name)
        if match is None or ".." in name.split("/"):
            raise IntegrityError("That is no object of a vault", detail=name)
        return cls(match["prefix"], bytes.fromhex(match["id"]), bytes.fromhex(match["sha256"]))


def new_id() -> bytes:
    """Return a new object id."""
    return secrets.token_bytes(16)


def name_of(prefix: str, object_id: bytes, data: Buffer) -> str:
    """Return the name under which these bytes are kept."""
    return f"{prefix}/{object_id.hex()}-{hashlib.sha256(data).hexdigest()}"


def spread(prefix: str, object_id: bytes) -> str:
    """Return one of 256 places below a prefix, so that no folder grows without end."""
    return f"{prefix}/{object_id[:1].hex()}"


def check(name: str, data: Buffer) -> ObjectName:
    """Compare an object's bytes with its name.

    Raises:
        IntegrityError: They differ.
    """
    parsed = ObjectName.parse(name)
    if hashlib.sha256(data).digest() != parsed.sha256:
        raise IntegrityError("An object is not what was written", detail=f"{name}: its SHA-256 differs from its name")
    return parsed


def check_word(word: str, what: str) -> str:
    """Return a service's or cluster's name if it can be part of an object name.

    Raises:
        UsageError: It cannot.
    """
    if not _WORD.fullmatch(word):
        raise UsageError(
            f"That is no name for a {what}", detail=repr(word), resolution="Use letters, digits, '.', '_', '-'"
        )
    return word
