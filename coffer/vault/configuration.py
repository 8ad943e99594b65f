"""The vault's configuration: numbered objects that only the root key signs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from coffer.errors import IntegrityError, NoVault
from coffer.keys import signing
from coffer.vault import frames, names
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.file import FolderMissing
from coffer.vault.stores.protocol import Store


class RecipientRecord(msgspec.Struct, frozen=True):
    """Someone who can open points."""

    name: str
    public: bytes

    @property
    def fingerprint(self) -> bytes:
        """First 16 bytes of SHA-256 of the public key."""
        return hashlib.sha256(self.public).digest()[:16]


class WriterRecord(msgspec.Struct, frozen=True):
    """Someone whose signature makes a point genuine."""

    name: str
    public: bytes
    revoked_ns: int = 0
    kept: list[bytes] = []
    """SHA-256 of the manifests that a revoked writer had committed and that stay genuine."""

    @property
    def id(self) -> str:
        """First 32 hex digits of the public key's fingerprint."""
        return signing.fingerprint(self.public)[:32]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the root says: who may open, who may write, how long points are kept."""

    vault: bytes
    number: int
    root: bytes
    previous: bytes
    created_ns: int
    recipients: list[RecipientRecord]
    writers: list[WriterRecord]
    retention: dict[str, int] = {}

    @property
    def fingerprint(self) -> str:
        """The root key's fingerprint, which writers and recipients pin."""
        return signing.fingerprint(self.root)

    def writer(self, writer_id: str) -> WriterRecord | None:
        """Return a writer by id."""
        return next((writer for writer in self.writers if writer.id == writer_id), None)


def publish(configuration: Configuration, root_secret: bytes) -> tuple[str, bytes]:
    """Return the name and bytes of a configuration object."""
    object_id = names.new_id()
    body = frames.encode(configuration)
    data = frames.sign(ObjectKind.CONFIGURATION, configuration.vault, object_id, root_secret, body)
    return names.name_of(f"{names.CONFIGURATION}/{configuration.number:08d}", object_id, data), data


def load(stores: StoreSet, *, root: str | None, least: int = 0, vault: str | None = None) -> Configuration:
    """Return the newest configuration that a root key signed.

    Args:
        stores: Where to look; the highest number anywhere counts.
        root: Fingerprint of the root key to believe; None believes what is there (a first use).
        least: Lowest number to believe.
        vault: Vault id that it must be of.

    Raises:
        NoVault: No store holds a configuration.
        IntegrityError: What is there was forged, damaged, taken from another vault, or rolled back.
    """
    found = _find(stores)
    newest = max(name.split("/")[1] for name in found)
    candidates = [name for name in found if name.split("/")[1] == newest]
    configurations = [_open(stores.read(name), name) for name in candidates]
    if len(configurations) != 1:
        raise IntegrityError("Two configurations bear the same number", detail=", ".join(candidates))
    configuration = configurations[0]
    if root is not None and configuration.fingerprint != root:
        raise IntegrityError(
            "The vault is not the one that was pinned",
            detail=f"root key {configuration.fingerprint[:16]}…, pinned {root[:16]}…",
        )
    if vault is not None and configuration.vault.hex() != vault:
        raise IntegrityError("The vault is another one", detail=f"{configuration.vault.hex()}, expected {vault}")
    if configuration.number < least:
        if stores.silent:
            raise gravest(stores.silent)
        raise IntegrityError(
            "The vault's configuration was rolled back", detail=f"number {configuration.number}, known {least}"
        )
    return configuration


def _find(stores: StoreSet) -> list[str]:
    try:
        found = stores.names(f"{names.CONFIGURATION}/")
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
    if f"{claimed.number:08d}" != name.split("/")[1]:
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
