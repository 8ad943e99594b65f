"""The ledger's signing key as a file of this machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import msgspec

from coffer.keys import key_files, signing

_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _SigningKey(msgspec.Struct, tag="coffer-ledger-key", frozen=True):
    secret: _Hex32


class _PublicKey(msgspec.Struct, tag="coffer-ledger-public-key", frozen=True):
    public: _Hex32


def load_or_create(path: Path) -> bytes:
    """Return the signing key in a file; the first call makes it (0600) and its public half in `FILE.pub`.

    Raises:
        UsageError: The file is something else or cannot be written.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _give(path, _SigningKey(signing.generate_secret().hex()), secret=True)
    secret = bytes.fromhex(key_files.read(path, _SigningKey, "a ledger's signing key").secret)
    public = public_file(path)
    if not public.exists():
        _give(public, _PublicKey(signing.public_key(secret).hex()), secret=False)
    return secret


def public_file(path: Path) -> Path:
    """Return where the public half of a signing key is."""
    return path.with_name(path.name + ".pub")


def load_public(path: Path) -> str:
    """Return the public key (hex) in a file.

    Raises:
        UsageError: The file is something else.
    """
    return key_files.read(path, _PublicKey, "a ledger's public key").public


def _give(path: Path, content: object, *, secret: bool) -> None:
    """Write aside, then link(): of two processes at first start one wins, and nobody reads half a key."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    key_files.create(aside, content, secret=secret)
    try:
        os.link(aside, path)
    except FileExistsError:
        return  # the other process's key is as good
    finally:
        aside.unlink()
