"""One act in the ledger: canonical bytes, the hash that chains them, the signature that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from coffer.errors import IntegrityError, UsageError
from coffer.keys import signing

GENESIS = "0" * 64
"""What the first entry names as its predecessor."""

_PURPOSE = b"ledger-entry"
_FIELDS = ("number", "previous", "at", "act", "subject", "detail", "request", "signer", "signature")


@dataclass(frozen=True)
class Entry:
    """What was done, to what, on whose word.

    Attributes:
        number: Place in the ledger, from 1, without gaps.
        previous: SHA-256 (hex) of the bytes of the entry before.
        at: When, in UTC.
        act: `release.switched`, `point.taken`, `approval.given`, …
        subject: What it was done to: a service and environment, a point, a plan's hash.
        detail: JSON; never a secret.
        request: Id derived from the request that caused it; empty if none. A retry finds its entry by it.
        signer: Public key (hex) of who wrote it.
        signature: Ed25519 (hex) over everything above.
    """

    number: int
    previous: str
    at: datetime
    act: str
    subject: str
    detail: Mapping[str, Any]
    request: str = ""
    signer: str = ""
    signature: str = ""

    def signed(self, secret: bytes) -> Entry:
        """Return the entry with its signer's name and signature."""
        named = replace(self, signer=signing.public_key(secret).hex(), signature="")
        return replace(named, signature=signing.sign(secret, _PURPOSE, named.encode()).hex())

    def is_genuine(self) -> bool:
        """Tell whether whoever `signer` names wrote exactly this."""
        try:
            public, signature = bytes.fromhex(self.signer), bytes.fromhex(self.signature)
        except ValueError:
            return False
        return signing.is_signed(public, signature, _PURPOSE, replace(self, signature="").encode())

    def encode(self) -> bytes:
        """Return the one spelling that is signed, hashed and stored."""
        try:
            text = json.dumps(
                self.as_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
            )
            return text.encode()
        except (TypeError, ValueError) as error:
            raise UsageError("a ledger entry holds JSON only", detail=str(error)) from error

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON shows it."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        return {**document, "at": _timestamp(self.at), "detail": dict(self.detail)}

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """Read an entry.

        Raises:
            IntegrityError: These are not the bytes that `encode` gives.
        """
        try:
            document = json.loads(data)
            entry = cls(**{**document, "at": datetime.fromisoformat(document["at"])})
            same = entry.encode() == data
        except (ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
            raise IntegrityError("a ledger entry cannot be read", detail=str(error)) from error
        if not same:
            raise IntegrityError("a ledger entry is not written in its canonical form")
        return entry


def hash_of(data: bytes) -> str:
    """Return what the next entry names as its predecessor."""
    return hashlib.sha256(data).hexdigest()


def _timestamp(at: datetime) -> str:
    if at.tzinfo is None:
        raise UsageError("a ledger entry needs a time with its zone", detail=at.isoformat())
    return at.astimezone(UTC).isoformat(timespec="microseconds")
