"""X-Wing: the hybrid of X25519 and ML-KEM-768, broken only when both are.

Source: draft-connolly-cfrg-xwing-kem (combiner of section 5.3, keys of 5.2). A secret key is a seed of 32 bytes.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

SEED_SIZE = 32
PUBLIC_SIZE = 1216
CIPHERTEXT_SIZE = 1120
_MLKEM_PUBLIC = 1184
_MLKEM_CIPHERTEXT = 1088
_LABEL = b"\\.//^\\"


def generate_seed() -> bytes:
    """Return a new secret key."""
    return secrets.token_bytes(SEED_SIZE)


def public_key(seed: bytes) -> bytes:
    """Return the public key (1216 bytes) of a secret key."""
    mlkem, x25519 = _expand(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def check_public(public: bytes) -> MLKEM768PublicKey:
    """Return the ML-KEM half of a public key.

    Raises:
        ValueError: The bytes are no public key.
    """
    if len(public) != PUBLIC_SIZE:
        raise ValueError(f"an X-Wing public key has {PUBLIC_SIZE} bytes, not {len(public)}")
    return MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC])


def encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """Make a shared secret for a public key.

    Returns:
        The shared secret (32 bytes) and the ciphertext (1120 bytes) from which the secret key's owner gets it.

    Raises:
        ValueError: The bytes are no public key.
    """
    their_mlkem, their_x25519 = check_public(public), public[_MLKEM_PUBLIC:]
    mlkem_secret, mlkem_ciphertext = their_mlkem.encapsulate()
    ephemeral = X25519PrivateKey.generate()
    x25519_secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(their_x25519))
    x25519_ciphertext = ephemeral.public_key().public_bytes_raw()
    shared = _combine(mlkem_secret, x25519_secret, x25519_ciphertext, their_x25519)
    return shared, mlkem_ciphertext + x25519_ciphertext


def decapsulate(seed: bytes, ciphertext: bytes) -> bytes:
    """Return the shared secret that a ciphertext carries.

    A ciphertext for another key gives another secret, not an error: whoever uses the secret finds out.

    Raises:
        ValueError: The bytes are no ciphertext.
    """
    if len(ciphertext) != CIPHERTEXT_SIZE:
        raise ValueError(f"an X-Wing ciphertext has {CIPHERTEXT_SIZE} bytes, not {len(ciphertext)}")
    mlkem, x25519 = _expand(seed)
    x25519_ciphertext = ciphertext[_MLKEM_CIPHERTEXT:]
    mlkem_secret = mlkem.decapsulate(ciphertext[:_MLKEM_CIPHERTEXT])
    x25519_secret = x25519.exchange(X25519PublicKey.from_public_bytes(x25519_ciphertext))
    return _combine(mlkem_secret, x25519_secret, x25519_ciphertext, x25519.public_key().public_bytes_raw())


def _expand(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(seed) != SEED_SIZE:
        raise ValueError(f"an X-Wing secret key has {SEED_SIZE} bytes, not {len(seed)}")
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def _combine(mlkem_secret: bytes, x25519_secret: bytes, x25519_ciphertext: bytes, x25519_public: bytes) -> bytes:
    return hashlib.sha3_256(mlkem_secret + x25519_secret + x25519_ciphertext + x25519_public + _LABEL).digest()
