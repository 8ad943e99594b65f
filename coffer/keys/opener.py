"""Who opens a vault: an identity file, a passphrase's identity, a key in a cloud's KMS, or a writer (index keys only).

Everything kept wrapped in the vault is wrapped the same way: a fresh secret of 32 bytes is brought to each holder
(by X-Wing or by KMS), and a key derived from that secret seals what is kept. An opener gets the secret back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from coffer.errors import UsageError
from coffer.keys import kms, xwing

XWING = "x-wing"
KMS = "kms"


class Opener(Protocol):
    """Someone to whom keys are wrapped."""

    @property
    def fingerprint(self) -> str:
        """Which wraps are theirs: hex of the first 16 bytes of SHA-256 of the public key (KMS: of the key's ARN)."""
        ...

    @property
    def pins(self) -> Mapping[str, str]:
        """Root fingerprints they know, by vault id."""
        ...

    @property
    def path(self) -> Path | None:
        """File beside which is kept what was last seen of the vault; None keeps it in memory."""
        ...

    def decapsulate(self, ciphertext: bytes, place: Mapping[str, str]) -> bytes:
        """Return the secret that was brought to them.

        Args:
            ciphertext: What `encapsulate` made.
            place: Vault and key it was made for.

        Raises:
            ValueError: It was made for someone else, or for another place; X-Wing gives another secret instead.
            OutsideSystemError: The KMS does not answer, or does not allow it.
        """
        ...


def encapsulate(kind: str, public: bytes, place: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Make a secret for a holder.

    Args:
        kind: XWING or KMS.
        public: X-Wing public key, or the KMS key's ARN.
        place: Vault and key it is for; a KMS binds them, X-Wing's user binds them when deriving.

    Returns:
        The secret (32 bytes), and the ciphertext from which only the holder gets it.

    Raises:
        UsageError: The kind is unknown: a newer Coffer made this recipient.
        ValueError: The bytes are no public key.
        OutsideSystemError: The KMS does not answer, or does not allow it.
    """
    if kind == XWING:
        return xwing.encapsulate(public)
    if kind == KMS:
        return kms.encapsulate(public.decode(), place)
    raise UsageError(f"This Coffer knows no recipients of kind {kind}", resolution="Upgrade Coffer")


def check_public(kind: str, public: bytes) -> None:
    """Make sure that these bytes can name a holder of that kind.

    Raises:
        ValueError: They cannot.
    """
    if kind == XWING:
        xwing.check_public(public)
    elif kind == KMS:
        kms.check_arn(public.decode())
    else:
        raise ValueError(f"recipients of kind {kind} are unknown here")
