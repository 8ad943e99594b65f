"""The vault's configuration: numbered objects that only the root key signs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec

from coffer.errors import CofferError, IntegrityError, NoVault
from coffer.keys import signing
from coffer.keys.opener import XWING
from coffer.vault import frames, names
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.file import FolderMissing
from coffer.vault.stores.protocol import Store


class RecipientRecord(msgspec.Struct, frozen=True):
    """Someone to whom keys are wrapped.

    Attributes:
        name: What people call them.
        public: X-Wing public key, or a KMS key's ARN.
        kind: XWING or KMS; see `coffer.keys.opener`.
    """

    name: str
    public: bytes
    kind: str = XWING

    @property
    def fingerprint(self) -> bytes:
        """First 16 bytes of SHA-256 of the public key."""
        return hashlib.sha256(self.public).digest()[:16]


class WriterRecord(msgspec.Struct, frozen=True):
    """Someone whose signature makes a point genuine.

    Attributes:
        name: What people call them.
        public: Ed25519 public key.
        recipient: X-Wing public key to which the index keys are wrapped, and no others.
        revoked_ns: When they were revoked; 0: active.
        kept: SHA-256 of what a revoked writer had committed and that stays genuine.
    """

    name: str
    public: bytes
    recipient: bytes
    revoked_ns: int = 0
    kept: list[bytes] = []

    @property
    def id(self) -> str:
        """First 32 hex digits of the public key's fingerprint."""
        return signing.fingerprint(self.public)[:32]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the root says: who may open, who may write, how long points are kept.

    `index_keys` are the commitments of all index keys, numbered from 1 in their order: the last is in use, the others
    open what was sealed before. A new one comes when a recipient or writer goes who knew the last.
    """

    vault: bytes
    number: int
    root: bytes
    previous: bytes
    created_ns: int
    recipients: list[RecipientRecord]
    writers: list[WriterRecord]
    index_keys: list[bytes]
    retention: dict[str, int | float | str] = {}

    @property
    def fingerprint(self) -> str:
        """The root key's fingerprint, which writers and recipients pin."""
        return signing.fingerprint(self.root)

    @property
    def name_readers(self) -> list[RecipientRecord]:
        """To whom the index keys are wrapped: recipients and active writers."""
        active = [writer for writer in self.writers if not writer.revoked_ns]
        return [*self.recipients, *(RecipientRecord(each.name, each.recipient) for each in active)]

    def writer(self, writer_id: str) -> WriterRecord | None:
        """Return a writer by id."""
        return next((writer for writer in self.writers if writer.id == writer_id), None)


def publish(configuration: Configuration, root_secret: bytes) -> tuple[str, bytes]:
    """Return the name and bytes of a configuration object."""
    object_id = names.new_id()
    body = frames.encode(configuration)
    data = frames.sign(ObjectKind.CONFIGURATION, configuration.vault, object_id, root_secret, body)
    return names.name_of(f"{names.CONFIGURATION}/{configuration.number:08d}", object_id, data), data


def load(
    stores: StoreSet,
    *,
    root: str | Collection[str] | None,
    least: int = 0,
    vault: str | None = None,
    chosen: str | None = None,
) -> Configuration:
    """Return the newest genuine configuration.

    Where the root is known, objects that it did not sign are passed over with a note: whoever can write into a store
    must not be able to keep others from reading.

    Args:
        stores: Where to look; the highest number anywhere counts.
        root: Fingerprints of the root keys to believe; None believes what is there (a first use).
        least: Lowest number to believe.
        vault: Vault id that it must be of.
        chosen: Beginning of the SHA-256 of the one to believe where two bear the highest number.

    Raises:
        NoVault: No store holds a configuration.
        IntegrityError: What is there was forged, damaged, taken from another vault, or rolled back.
    """
    roots = {root} if isinstance(root, str) else set(root) if root is not None else None
    configuration = _newest(stores, _find(stores), roots, chosen)
    if vault is not None and configuration.vault.hex() != vault:
        raise IntegrityError("The vault is another one", detail=f"{configuration.vault.hex()}, expected {vault}")
    check_number(stores, configuration, least)
    return configuration


def find_pinned(
    stores: StoreSet, pins: Mapping[str, str], root: str | None, *, chosen: str | None = None
) -> tuple[Configuration, bool]:
    """Return the newest configuration that a reader believes, and whether its root was known before.

    Args:
        stores: Where to look.
        pins: Root fingerprints that are known, by vault id.
        root: Fingerprint that was named, as the recovery kit has it; it weighs more than the pins.
        chosen: As `load` takes it.

    Raises:
        CofferError: As `load` does.
        IntegrityError: None of the pinned vaults is there.
    """
    roots = [root] if root is not None else list(pins.values()) or None
    configuration = load(stores, root=roots, chosen=chosen)
    if root is None and pins and pins.get(configuration.vault.hex()) != configuration.fingerprint:
        raise IntegrityError("The vault is not one that was pinned", detail=configuration.vault.hex())
    return configuration, roots is not None


def check_number(stores: StoreSet, configuration: Configuration, least: int) -> None:
    """Make sure that a configuration is not older than one that was seen.

    Raises:
        IntegrityError: It is.
        Unreachable: It is, but a store that may hold the newer one did not answer.
    """
    if configuration.number >= least:
        return
    if stores.silent:
        raise gravest(stores.silent)
    raise IntegrityError(
        "The vault's configuration was rolled back",
        detail=f"number {configuration.number}, known {least}",
        resolution="Someone removed or hid the newer one: look at the store's versions and its log",
    )


def reload(stores: StoreSet, before: Configuration) -> Configuration:
    """Return the configuration as it is now; raises as `load` does. Costs one listing where nothing changed."""
    if all(_number(name) <= before.number for name in _find(stores)):
        return before
    return load(stores, root=before.fingerprint, least=before.number, vault=before.vault.hex())


def digest(stores: StoreSet, configuration: Configuration) -> bytes:
    """Return the SHA-256 of the object that holds a configuration."""
    for name in stores.names(f"{names.CONFIGURATION}/{configuration.number:08d}/"):
        try:
            if _open(stores.read(name), name) == configuration:
                return names.ObjectName.parse(name).sha256
        except IntegrityError as error:
            stores.note(f"{name}: {error}")
    raise IntegrityError("A configuration is gone", detail=f"number {configuration.number}")


def history(stores: StoreSet, configuration: Configuration) -> list[Configuration]:
    """Return the genuine configurations before one, oldest first."""
    found = []
    for name in stores.names(f"{names.CONFIGURATION}/"):
        try:
            each = _open(stores.read(name), name)
        except CofferError as error:
            stores.note(f"{name}: {error}")
            continue
        if each.root == configuration.root and each.number < configuration.number:
            found.append(each)
    return found


def _newest(stores: StoreSet, found: list[str], roots: set[str] | None, chosen: str | None) -> Configuration:
    failure: CofferError | None = None
    for number in sorted({_number(name) for name in found}, reverse=True):
        genuine: dict[str, Configuration] = {}
        for name in (each for each in found if _number(each) == number):
            try:
                genuine[name] = _believed(_open(stores.read(name), name), roots)
            except IntegrityError as error:
                if roots is None:
                    raise
                failure = failure or error
                stores.note(f"{name} is no configuration of this vault's root: {error}")
        if genuine:
            configuration = _the_one(genuine, chosen)
            if roots is None:
                _check_one_root(stores, found, configuration)
            return configuration
    raise failure or IntegrityError("No configuration is genuine", detail=stores.describe())


def _believed(configuration: Configuration, roots: set[str] | None) -> Configuration:
    if roots is not None and configuration.fingerprint not in roots:
        pinned = ", ".join(f"{root[:16]}…" for root in sorted(roots))
        raise IntegrityError(
            "The vault is not the one that was pinned",
            detail=f"root key {configuration.fingerprint[:16]}…, pinned {pinned}",
        )
    return configuration


def _the_one(genuine: dict[str, Configuration], chosen: str | None) -> Configuration:
    if chosen is not None and len(genuine) > 1:
        genuine = {name: each for name, each in genuine.items() if name.rpartition("-")[2].startswith(chosen)}
    if len(genuine) != 1:
        raise IntegrityError(
            "Two configurations bear the same number",
            detail=", ".join(sorted(genuine)),
            resolution="Two people changed the vault at once: 'coffer vault settle --believe SHA256', and once more",
        )
    return next(iter(genuine.values()))


def _check_one_root(stores: StoreSet, found: list[str], configuration: Configuration) -> None:
    """Refuse to choose between two roots where none is known."""
    for name in found:
        other = _open(stores.read(name), name)
        if other.root != configuration.root:
            raise IntegrityError(
                "Two root keys signed configurations",
                detail=f"{configuration.fingerprint} and {other.fingerprint}",
                resolution="Name the one to believe: --root",
            )


def _number(name: str) -> int:
    place = name.split("/")[1]
    return int(place) if len(place) == 8 and place.isdecimal() and place.isascii() else -1


def _find(stores: StoreSet) -> list[str]:
    try:
        found = [name for name in stores.names(f"{names.CONFIGURATION}/") if _number(name) >= 0]
    except FolderMissing as error:
        raise NoVault("There is no vault there", detail=error.detail, resolution="Is it mounted?") from error
    if not found:
        detail = stores.describe()
        raise NoVault("There is no vault there", detail=detail, resolution="Make one with 'coffer vault init'")
    return found


def _open(data: bytes, name: str) -> Configuration:
    object_id = names.ObjectName.parse(name).id
    frames.check_header(ObjectKind.CONFIGURATION, data, name)
    claimed = frames.decode(data[frames.SIGNED_SIZE :], Configuration, name)
    frames.open_signed(ObjectKind.CONFIGURATION, claimed.vault, object_id, claimed.root, data, name)
    if claimed.number != _number(name):
        raise IntegrityError("A configuration stands under another number", detail=name)
    return claimed


def check_one_vault(stores: Iterable[Store], vault: bytes) -> None:
    """Make sure that every store that answers holds this vault or nothing.

    Raises:
        IntegrityError: One holds another vault.
    """
    for store in stores:
        for info in store.list(f"{names.CONFIGURATION}/"):
            found = _open(store.get(info.name), info.name)
            if found.vault != vault:
                raise IntegrityError("A store holds another vault", detail=f"{store.url}: {found.vault.hex()}")
