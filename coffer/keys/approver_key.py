"""The key a person approves with: a file of ours, or an OpenSSH key that this person has already."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from coffer.errors import UsageError
from coffer.keys import key_files, signing

_SSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


class _ApproverFile(msgspec.Struct, tag="coffer-approver-1", tag_field="type", forbid_unknown_fields=True):
    signing_key: bytes


def create(path: Path) -> str:
    """Write a new key (0600) and return its public half as an environment file lists it: base64.

    Raises:
        UsageError: Something stands there already.
    """
    secret = signing.generate_secret()
    key_files.create(path, _ApproverFile(secret), secret=True)
    return base64.b64encode(signing.public_key(secret)).decode()


def read(path: Path) -> bytes:
    """Return the secret key, 32 bytes.

    Raises:
        UsageError: The file is absent, or neither kind of key, or has a passphrase.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", detail=f"an approver's key: {error.strerror}") from error
    if not data.lstrip().startswith(_SSH):
        return key_files.read(path, _ApproverFile, "an approver's key").signing_key
    try:
        key = load_ssh_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path} cannot be used",
            detail=str(error),
            resolution="Use a key without a passphrase, or make one: coffer release approver-key",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is no Ed25519 key", resolution="ssh-keygen -t ed25519, or coffer release approver-key"
        )
    return key.private_bytes_raw()
