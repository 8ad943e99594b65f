"""Keys kept in the vault, each wrapped to every recipient: run keys, the index key, the root key.

They are small and few, so that adding or removing a recipient rewraps them and touches no data.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

import msgspec

from coffer.errors import IntegrityError, NotThere, WrongKey
from coffer.keys import Identity, sealing, xwing
from coffer.vault import frames, names
from coffer.vault.configuration import Configuration, RecipientRecord
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet

RUN = "run"
WAL = "wal"
INDEX = "index"
ROOT = "root"
_ZERO_NONCE = bytes(sealing.NONCE_SIZE)


class Wrap(msgspec.Struct, frozen=True):
    """A key sealed to one recipient."""

    recipient: bytes
    ciphertext: bytes
    sealed: bytes


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the vault keeps it.

    `commitment` is derived from the key: GCM alone would let one ciphertext open under two keys.
    """

    vault: bytes
    purpose: str
    id: bytes
    commitment: bytes
    wraps: list[Wrap]


def commitment(key: bytes) -> bytes:
    """Return what a key is recognised by without giving it away."""
    return sealing.derive(key, "commitment")


def folder(purpose: str, key_id: bytes) -> str:
    """Return where the objects of one key stand."""
    return f"{names.KEYS}/{purpose}-{key_id.hex()}"


def wrap(
    vault: bytes, purpose: str, key_id: bytes, key: bytes, recipients: Iterable[RecipientRecord], signer: bytes
) -> tuple[str, bytes]:
    """Wrap a key to recipients.

    Args:
        vault: Vault id.
        purpose: RUN, WAL, INDEX or ROOT.
        key_id: The key's id.
        key: The key, 32 bytes.
        recipients: Who shall open it.
        signer: Signing key of the writer (run keys) or of the root.

    Returns:
        Name and bytes of the object.
    """
    wraps = [_wrap_to(recipient, key, _bound(vault, purpose, key_id)) for recipient in recipients]
    record = KeyRecord(vault=vault, purpose=purpose, id=key_id, commitment=commitment(key), wraps=wraps)
    object_id = names.new_id()
    data = frames.sign(ObjectKind.KEY, vault, object_id, signer, frames.encode(record))
    return names.name_of(folder(purpose, key_id), object_id, data), data


def unwrap(stores: StoreSet, configuration: Configuration, purpose: str, key_id: bytes, identity: Identity) -> bytes:
    """Return a key of the vault.

    Raises:
        WrongKey: It is wrapped to other recipients.
        IntegrityError: It is missing, or no object that holds it is genuine.
    """
    found = stores.names(f"{folder(purpose, key_id)}/")
    if not found:
        raise IntegrityError("A key of the vault is missing", detail=folder(purpose, key_id))
    failure: Exception | None = None
    wrapped_to_others = False
    for name in found:
        try:
            key = _open(open_record(stores.read(name), name, configuration), identity)
        except (IntegrityError, NotThere) as error:
            failure = error
            continue
        if key is not None:
            return key
        wrapped_to_others = True
    if failure is not None and not wrapped_to_others:
        raise failure
    raise WrongKey(
        "This identity does not open the vault", detail=f"{identity.recipient.fingerprint} is no recipient of it"
    )


def open_record(data: bytes, name: str, configuration: Configuration) -> KeyRecord:
    """Check a key object and return its record.

    Raises:
        IntegrityError: Neither root nor a known writer signed it, or it stands in another place.
    """
    frames.check_header(ObjectKind.KEY, data, name)
    signer = frames.signer_of(data)
    writer = configuration.writer(signer)
    public = writer.public if writer else configuration.root
    object_id = names.check(name, data).id
    body = frames.open_signed(ObjectKind.KEY, configuration.vault, object_id, public, data, name)
    record = frames.decode(body, KeyRecord, name)
    if record.vault != configuration.vault or not name.startswith(folder(record.purpose, record.id) + "/"):
        raise IntegrityError("A key stands in another place", detail=name)
    if writer and record.purpose not in (RUN, WAL):
        raise IntegrityError("A writer signed a key that only the root may", detail=name)
    return record


def _wrap_to(recipient: RecipientRecord, key: bytes, bound_to: bytes) -> Wrap:
    shared, ciphertext = xwing.encapsulate(recipient.public)
    wrapping = sealing.derive(shared, "wrap", bound_to + recipient.fingerprint)
    return Wrap(recipient.fingerprint, ciphertext, sealing.seal(wrapping, _ZERO_NONCE, key, bound_to))


def _open(record: KeyRecord, identity: Identity) -> bytes | None:
    fingerprint = bytes.fromhex(identity.recipient.fingerprint)
    mine = next((each for each in record.wraps if each.recipient == fingerprint), None)
    if mine is None:
        return None
    bound_to = _bound(record.vault, record.purpose, record.id)
    try:
        shared = xwing.decapsulate(identity.seed, mine.ciphertext)
        key = sealing.open_sealed(
            sealing.derive(shared, "wrap", bound_to + fingerprint), _ZERO_NONCE, mine.sealed, bound_to
        )
    except ValueError as error:
        raise IntegrityError("A wrapped key does not open", detail=folder(record.purpose, record.id)) from error
    if not hmac.compare_digest(commitment(key), record.commitment):
        raise IntegrityError("A wrapped key is not the one committed to", detail=folder(record.purpose, record.id))
    return key


def _bound(vault: bytes, purpose: str, key_id: bytes) -> bytes:
    return frames.context(ObjectKind.KEY, vault, key_id, purpose.encode())
