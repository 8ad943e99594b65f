"""The outermost layer of every object: what it is, who signed it, what it is sealed to.

An object begins with "COFFER", the format's version and its kind. What follows is, by kind, signed, sealed or both;
see docs/vault-format.md.
"""

from __future__ import annotations

import secrets
from enum import IntEnum
from typing import TypeVar

import msgspec
import zstandard

from coffer.errors import Forged, IntegrityError, UsageError
from coffer.keys import sealing, signing

VERSION = 1
_MAGIC = b"COFFER"
HEADER_SIZE = 8
SIGNED_SIZE = HEADER_SIZE + 16 + signing.SIGNATURE_SIZE
_LARGEST_RECORD = 1 << 28
T = TypeVar("T")


class ObjectKind(IntEnum):
    """What an object is; part of everything that is signed or sealed."""

    CONFIGURATION = 1
    KEY = 2
    PACK = 3
    TREE = 4
    INDEX = 5
    LIST = 6
    MANIFEST = 7
    WAL = 8
    PROOF = 9
    MARK = 10
    JOURNAL = 11


def header(kind: ObjectKind) -> bytes:
    """Return the eight bytes an object begins with."""
    return _MAGIC + bytes((VERSION, kind))


def context(kind: ObjectKind, vault: bytes, object_id: bytes, more: bytes = b"") -> bytes:
    """Return what binds bytes to their place: version, kind, vault, object, and whatever else."""
    return header(kind) + vault + object_id + more


def check_header(kind: ObjectKind, data: bytes, name: str) -> None:
    """Make sure that these bytes are an object of a kind.

    Raises:
        UsageError: A newer Coffer wrote it.
        IntegrityError: It is something else.
    """
    if data[:6] != _MAGIC or len(data) < HEADER_SIZE:
        raise IntegrityError("An object is not one of a vault", detail=name)
    if data[6] != VERSION:
        raise UsageError(
            "The vault was written by a newer Coffer",
            detail=f"{name} has format {data[6]}, this Coffer reads format {VERSION}",
            resolution="Upgrade Coffer",
        )
    if data[7] != kind:
        raise IntegrityError("An object is of another kind", detail=f"{name} is not a {kind.name.lower()}")


def sign(kind: ObjectKind, vault: bytes, object_id: bytes, secret: bytes, body: bytes) -> bytes:
    """Frame a body with its signer and signature."""
    signer = bytes.fromhex(signing.fingerprint(signing.public_key(secret))[:32])
    signature = signing.sign(secret, context(kind, vault, object_id), body)
    return header(kind) + signer + signature + body


def signer_of(data: bytes) -> str:
    """Return who claims to have signed: 32 hex digits."""
    return data[HEADER_SIZE : HEADER_SIZE + 16].hex()


def open_signed(kind: ObjectKind, vault: bytes, object_id: bytes, public: bytes, data: bytes, name: str) -> bytes:
    """Check the signature and return the body.

    Raises:
        IntegrityError: Someone else made it, or it was altered or moved.
        UsageError: A newer Coffer wrote it.
    """
    check_header(kind, data, name)
    signature = data[HEADER_SIZE + 16 : SIGNED_SIZE]
    if signer_of(data) != signing.fingerprint(public)[:32]:
        raise Forged("An object names another signer than the one who may sign it", detail=name)
    if not signing.is_signed(public, signature, context(kind, vault, object_id), data[SIGNED_SIZE:]):
        raise Forged("A signature is not genuine", detail=name)
    return data[SIGNED_SIZE:]


def seal(key: bytes, bound_to: bytes, plaintext: bytes, nonce: bytes | None = None) -> bytes:
    """Seal a record; its nonce, random unless given, comes first."""
    nonce = nonce or secrets.token_bytes(sealing.NONCE_SIZE)
    return nonce + sealing.seal(key, nonce, plaintext, bound_to)


def open_sealed(key: bytes, bound_to: bytes, data: bytes, name: str) -> bytes:
    """Open what `seal` made.

    Raises:
        IntegrityError: It does not open.
    """
    try:
        return sealing.open_sealed(key, data[: sealing.NONCE_SIZE], data[sealing.NONCE_SIZE :], bound_to)
    except sealing.DoesNotOpen as error:
        raise IntegrityError("An object does not open", detail=f"{name}: altered, moved or of another key") from error


def encode(record: object) -> bytes:
    """Return a record as MessagePack."""
    return msgspec.msgpack.encode(record)


def decode(data: bytes, shape: type[T], name: str) -> T:
    """Return the record that bytes hold.

    Raises:
        IntegrityError: They hold something else.
    """
    try:
        return msgspec.msgpack.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError("An object holds something else", detail=f"{name}: {error}") from error


def compress(data: bytes) -> bytes:
    """Compress a record."""
    return zstandard.ZstdCompressor(level=3).compress(data)


def decompress(data: bytes, name: str) -> bytes:
    """Return a record's bytes.

    Raises:
        IntegrityError: They are no compressed record, or one larger than any record is.
    """
    try:
        if zstandard.frame_content_size(data) > _LARGEST_RECORD:
            raise IntegrityError("An object is larger than any of its kind", detail=name)
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_RECORD)
    except zstandard.ZstdError as error:
        raise IntegrityError("An object holds something else", detail=f"{name}: {error}") from error
