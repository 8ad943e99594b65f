"""A passphrase as a recipient: an identity that is kept in the vault itself, sealed under what Argon2id makes of it.

Writers and configurations know only the identity's public half. Whoever has the vault and the passphrase has the
identity; whoever has the vault alone may guess, at the price that Argon2id sets.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from coffer.errors import CofferError, IntegrityError, UsageError, WrongKey
from coffer.keys import Identity, sealing, xwing
from coffer.keys.opener import Opener
from coffer.keys.passphrase import SALT_SIZE, Argon2Parameters, Passphrase
from coffer.vault import frames, key_objects, names
from coffer.vault.configuration import Configuration, RecipientRecord
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet

_ZERO_NONCE = bytes(sealing.NONCE_SIZE)


@dataclass(frozen=True)
class Remembered:
    """A passphrase that shall open a vault.

    Attributes:
        passphrase: The passphrase.
        name: What people call this recipient.
        parameters: What a guess shall cost.
    """

    passphrase: Passphrase
    name: str = "passphrase"
    parameters: Argon2Parameters = Argon2Parameters()  # noqa: RUF009 - frozen


class PassphraseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An identity as the vault keeps it; `id` is its recipient's fingerprint."""

    vault: bytes
    purpose: str
    id: bytes
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    sealed: bytes


def keep(vault: bytes, remembered: Remembered, root_secret: bytes) -> tuple[RecipientRecord, tuple[str, bytes]]:
    """Make an identity for a passphrase.

    Returns:
        The recipient, and name and bytes of the object that keeps its secret half.

    Raises:
        UsageError: The passphrase is too short, or the parameters are weak.
    """
    remembered.passphrase.check_new()
    salt, seed = secrets.token_bytes(SALT_SIZE), xwing.generate_seed()
    recipient = RecipientRecord(remembered.name, xwing.public_key(seed))
    bound_to = key_objects.bound(vault, key_objects.PASSPHRASE, recipient.fingerprint)
    try:
        stretched = remembered.passphrase.stretch(salt, remembered.parameters)
    except ValueError as error:
        raise UsageError("Those are no sound parameters", detail=str(error)) from error
    record = PassphraseRecord(
        vault=vault,
        purpose=key_objects.PASSPHRASE,
        id=recipient.fingerprint,
        salt=salt,
        memory_kib=remembered.parameters.memory_kib,
        passes=remembered.parameters.passes,
        lanes=remembered.parameters.lanes,
        sealed=sealing.seal(sealing.derive(stretched, "passphrase", bound_to), _ZERO_NONCE, seed, bound_to),
    )
    object_id = names.new_id()
    data = frames.sign(ObjectKind.KEY, vault, object_id, root_secret, frames.encode(record))
    place = key_objects.folder(key_objects.PASSPHRASE, recipient.fingerprint)
    return recipient, (names.name_of(place, object_id, data), data)


def settle_opener(stores: StoreSet, configuration: Configuration, who: Opener | Passphrase) -> Opener:
    """Return who opens: a passphrase becomes the identity that it opens.

    Raises:
        WrongKey: The passphrase opens none, or whoever it is is no recipient.
        IntegrityError: What is kept for the passphrase is not genuine.
    """
    opener = open_identity(stores, configuration, who) if isinstance(who, Passphrase) else who
    if all(each.fingerprint.hex() != opener.fingerprint for each in configuration.recipients):
        raise WrongKey("This key does not open the vault", detail=f"{opener.fingerprint} is no recipient of it")
    return opener


def open_identity(stores: StoreSet, configuration: Configuration, passphrase: Passphrase) -> Identity:
    """Return the identity that a passphrase opens; raises as `settle_opener` does."""
    failure: CofferError | None = None
    tried = 0
    for recipient in configuration.recipients:
        place = key_objects.folder(key_objects.PASSPHRASE, recipient.fingerprint)
        for name in stores.names(f"{place}/"):
            try:
                record = _open_record(stores.read(name), name, configuration, recipient)
                tried += 1
                identity = _open(record, recipient, passphrase)
            except (IntegrityError, UsageError) as error:
                failure = error
                continue
            if identity is not None:
                return identity
    if failure is not None:
        raise failure
    detail = f"{tried} recipients of it have one" if tried else "no recipient of it has one"
    raise WrongKey("This passphrase does not open the vault", detail=detail)


def _open_record(data: bytes, name: str, configuration: Configuration, recipient: RecipientRecord) -> PassphraseRecord:
    record = key_objects.open_signed(data, name, configuration, PassphraseRecord)
    if not key_objects.is_by_root(data, configuration):
        raise IntegrityError("A writer signed a key that only the root may", detail=name)
    if (record.vault, record.purpose, record.id) != (
        configuration.vault,
        key_objects.PASSPHRASE,
        recipient.fingerprint,
    ):
        raise IntegrityError("A key stands in another place", detail=name)
    return record


def _open(record: PassphraseRecord, recipient: RecipientRecord, passphrase: Passphrase) -> Identity | None:
    bound_to = key_objects.bound(record.vault, record.purpose, record.id)
    place = key_objects.folder(record.purpose, record.id)
    try:
        stretched = passphrase.stretch(record.salt, Argon2Parameters(record.memory_kib, record.passes, record.lanes))
    except ValueError as error:
        raise IntegrityError("A passphrase's parameters are not sound", detail=f"{place}: {error}") from error
    try:
        seed = sealing.open_sealed(
            sealing.derive(stretched, "passphrase", bound_to), _ZERO_NONCE, record.sealed, bound_to
        )
    except sealing.DoesNotOpen:
        return None
    identity = Identity.of_seed(seed, recipient.name)
    if identity.recipient.public != recipient.public:
        raise IntegrityError("A passphrase opens another identity than its name says", detail=place)
    return identity
