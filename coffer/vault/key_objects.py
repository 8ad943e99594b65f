"""Keys kept in the vault, each wrapped to every recipient: run keys, index keys, the root key.

They are small and few, so that adding or removing a recipient rewraps them and touches no data.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from coffer.errors import CofferError, IntegrityError, NotThere, UsageError, WrongKey
from coffer.keys import opener as openers
from coffer.keys import sealing
from coffer.keys.opener import Opener
from coffer.vault import frames, names
from coffer.vault.configuration import Configuration, RecipientRecord
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet, gravest

T = TypeVar("T")
RUN = "run"
WAL = "wal"
INDEX = "index"
ROOT = "root"
_LOOKS = 3
PASSPHRASE = "passphrase"  # noqa: S105 - a name
ID_SIZE = 16
_ZERO_NONCE = bytes(sealing.NONCE_SIZE)


class Wrap(msgspec.Struct, frozen=True):
    """A key sealed to one recipient."""

    recipient: bytes
    ciphertext: bytes
    sealed: bytes


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the vault keeps it.

    `commitment` is derived from the key: GCM alone would let one ciphertext open under two keys. The id of all keys but
    the root begins the commitment, so that nobody can put another key in the place of one that a point names.
    """

    vault: bytes
    purpose: str
    id: bytes
    commitment: bytes
    wraps: list[Wrap]


def commitment(key: bytes) -> bytes:
    """Return what a key is recognised by without giving it away."""
    return sealing.derive(key, "commitment")


def key_id(key: bytes) -> bytes:
    """Return the id of a run key, WAL key or index key: the beginning of its commitment."""
    return commitment(key)[:ID_SIZE]


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
    bound_to, place = bound(vault, purpose, key_id), _context(vault, folder(purpose, key_id))
    wraps = [_wrap_to(recipient, key, bound_to, place) for recipient in recipients]
    record = KeyRecord(vault=vault, purpose=purpose, id=key_id, commitment=commitment(key), wraps=wraps)
    object_id = names.new_id()
    data = frames.sign(ObjectKind.KEY, vault, object_id, signer, frames.encode(record))
    return names.name_of(folder(purpose, key_id), object_id, data), data


def unwrap(stores: StoreSet, configuration: Configuration, purpose: str, key_id: bytes, opener: Opener) -> bytes:
    """Return a key of the vault.

    Raises:
        WrongKey: It is wrapped to other recipients.
        IntegrityError: It is missing, or no object that holds it is genuine.
        Unreachable: It is not where we can look, and a store is silent.
    """
    for _ in range(_LOOKS):  # a change of recipients puts the new object before it removes the old one
        try:
            return _unwrap_listed(stores, configuration, purpose, key_id, opener)
        except NotThere as error:
            gone = error
    raise IntegrityError("A key of the vault is missing", detail=gone.detail) from gone


def _unwrap_listed(
    stores: StoreSet, configuration: Configuration, purpose: str, key_id: bytes, opener: Opener
) -> bytes:
    found = stores.names(f"{folder(purpose, key_id)}/")
    if not found and stores.silent:
        raise gravest(stores.silent)
    if not found:
        raise IntegrityError("A key of the vault is missing", detail=folder(purpose, key_id))
    failure: CofferError | None = None
    for name in found:
        try:
            key = open_wrap(open_record(stores.read(name), name, configuration), opener)
        except (IntegrityError, NotThere, UsageError) as error:  # rubbish beside the genuine one does no harm
            failure = error
            continue
        if key is not None:
            return key
    if failure is not None:
        raise failure
    raise _wrapped_to_others(configuration, opener)


def _wrapped_to_others(configuration: Configuration, opener: Opener) -> WrongKey:
    detail = f"{opener.fingerprint} is no recipient of it"
    if all(each.fingerprint.hex() != opener.fingerprint for each in configuration.name_readers):
        return WrongKey("This key does not open the vault", detail=detail)
    return WrongKey(
        "This key does not open all of the vault yet",
        detail=f"{opener.fingerprint} was admitted, but the change was interrupted",
        resolution="Someone who opens it all runs 'coffer vault settle'",
    )


def open_record(data: bytes, name: str, configuration: Configuration) -> KeyRecord:
    """Check a key object and return its record.

    Raises:
        IntegrityError: Neither root nor a known writer signed it, or it stands in another place.
    """
    record = open_signed(data, name, configuration, KeyRecord)
    if record.vault != configuration.vault or not name.startswith(folder(record.purpose, record.id) + "/"):
        raise IntegrityError("A key stands in another place", detail=name)
    if record.purpose != ROOT and record.id != record.commitment[:ID_SIZE]:
        raise IntegrityError("A key is not the one that its name commits to", detail=name)
    if record.purpose not in (RUN, WAL) and not is_by_root(data, configuration):
        raise IntegrityError("A writer signed a key that only the root may", detail=name)
    return record


def open_signed(data: bytes, name: str, configuration: Configuration, shape: type[T]) -> T:
    """Check the signature of an object below `keys/`, by the root or a writer, and return its record.

    Raises:
        IntegrityError: Neither signed it, or it was altered.
    """
    frames.check_header(ObjectKind.KEY, data, name)
    writer = configuration.writer(frames.signer_of(data))
    object_id = names.check(name, data).id
    public = writer.public if writer else configuration.root
    return frames.decode(
        frames.open_signed(ObjectKind.KEY, configuration.vault, object_id, public, data, name), shape, name
    )


def is_by_root(data: bytes, configuration: Configuration) -> bool:
    """Tell whether the root is named as the signer, and not a writer: their signature is checked elsewhere."""
    return configuration.writer(frames.signer_of(data)) is None


def open_wrap(record: KeyRecord, opener: Opener) -> bytes | None:
    """Return the key that a record holds; None if it is wrapped to others.

    Raises:
        IntegrityError: The wrap does not open, or to another key than the one committed to.
        OutsideSystemError: The KMS does not answer, or does not allow it.
    """
    fingerprint = bytes.fromhex(opener.fingerprint)
    mine = next((each for each in record.wraps if each.recipient == fingerprint), None)
    if mine is None:
        return None
    place, bound_to = folder(record.purpose, record.id), bound(record.vault, record.purpose, record.id)
    try:
        shared = opener.decapsulate(mine.ciphertext, _context(record.vault, place))
        wrapping = sealing.derive(shared, "wrap", bound_to + fingerprint)
        key = sealing.open_sealed(wrapping, _ZERO_NONCE, mine.sealed, bound_to)
    except ValueError as error:
        raise IntegrityError("A wrapped key does not open", detail=place) from error
    if not hmac.compare_digest(commitment(key), record.commitment):
        raise IntegrityError("A wrapped key is not the one committed to", detail=place)
    return key


def _wrap_to(recipient: RecipientRecord, key: bytes, bound_to: bytes, place: Mapping[str, str]) -> Wrap:
    shared, ciphertext = openers.encapsulate(recipient.kind, recipient.public, place)
    wrapping = sealing.derive(shared, "wrap", bound_to + recipient.fingerprint)
    return Wrap(recipient.fingerprint, ciphertext, sealing.seal(wrapping, _ZERO_NONCE, key, bound_to))


def _context(vault: bytes, place: str) -> dict[str, str]:
    """Return what a KMS binds a wrap to, in words that its log can show."""
    return {"coffer-vault": vault.hex(), "coffer-key": place}


def bound(vault: bytes, purpose: str, key_id: bytes) -> bytes:
    """Return what wraps of a key are bound to."""
    return frames.context(ObjectKind.KEY, vault, key_id, purpose.encode())
