"""Ed25519 signatures over a purpose and a message, so that one kind of statement never passes as another."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_SIZE = 64
PUBLIC_SIZE = 32
SECRET_SIZE = 32


def generate_secret() -> bytes:
    """Return a new signing key (32 bytes)."""
    return secrets.token_bytes(SECRET_SIZE)


def public_key(secret: bytes) -> bytes:
    """Return the public half (32 bytes) of a signing key."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """Return the name of a public key: hex of its SHA-256."""
    return hashlib.sha256(public).hexdigest()


def sign(secret: bytes, purpose: bytes, message: bytes) -> bytes:
    """Sign SHA-256 of purpose and message. Returns 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(_statement(purpose, message))


def is_signed(public: bytes, signature: bytes, purpose: bytes, message: bytes) -> bool:
    """Tell whether the owner of a public key signed this."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _statement(purpose, message))
    except (InvalidSignature, ValueError):
        return False
    return True


def _statement(purpose: bytes, message: bytes) -> bytes:
    return b"coffer/1/signature\0" + hashlib.sha256(purpose).digest() + hashlib.sha256(message).digest()
