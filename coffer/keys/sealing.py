"""AES-256-GCM with context, and keys derived from keys."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16
Buffer = bytes | bytearray | memoryview


class DoesNotOpen(ValueError):
    """The key, the context or the bytes are not those that were sealed."""


def derive(key: bytes, purpose: str, context: bytes = b"", size: int = KEY_SIZE) -> bytes:
    """Derive a key for one purpose: HKDF-SHA256, no salt, info = "coffer/1/" purpose NUL context."""
    return HKDF(SHA256(), size, None, b"coffer/1/" + purpose.encode() + b"\0" + context).derive(key)


def seal(key: bytes, nonce: bytes, plaintext: Buffer, context: bytes) -> bytes:
    """Seal bytes; the context must be given again to open them. Returns ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plaintext, context)


def open_sealed(key: bytes, nonce: bytes, sealed: Buffer, context: bytes) -> bytes:
    """Open what `seal` made.

    Raises:
        DoesNotOpen: Anything differs from what was sealed.
    """
    try:
        return AESGCM(key).decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError) as error:
        raise DoesNotOpen("sealed bytes do not open") from error
