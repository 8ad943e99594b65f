"""The vault's configuration: numbered objects that only the root key signs. The highest number in any store counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from coffer.errors import CofferError, IntegrityError, NoVault
from coffer.vault import names
from coffer.vault.configuration_choice import newest
from coffer.vault.configuration_records import (
    Configuration,
    RecipientRecord,
    WriterRecord,
    number_of,
    open_object,
    publish,
)
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.file import FolderMissing
from coffer.vault.stores.protocol import Store

__all__ = [
    "Configuration",
    "RecipientRecord",
    "WriterRecord",
    "check_number",
    "check_one_vault",
    "digest",
    "find_pinned",
    "history",
    "load",
    "publish",
    "reload",
]


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
    configuration = newest(stores, _find(stores), roots, chosen)
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
    if all(number_of(name) <= before.number for name in _find(stores)):
        return before
    return load(stores, root=before.fingerprint, least=before.number, vault=before.vault.hex())


def digest(stores: StoreSet, configuration: Configuration) -> bytes:
    """Return the SHA-256 of the object that holds a configuration."""
    for name in stores.names(f"{names.CONFIGURATION}/{configuration.number:08d}/"):
        try:
            if open_object(stores.read(name), name) == configuration:
                return names.ObjectName.parse(name).sha256
        except IntegrityError as error:
            stores.note(f"{name}: {error}")
    raise IntegrityError("A configuration is gone", detail=f"number {configuration.number}")


def history(stores: StoreSet, configuration: Configuration) -> list[Configuration]:
    """Return the genuine configurations before one, oldest first."""
    found = []
    for name in stores.names(f"{names.CONFIGURATION}/"):
        try:
            each = open_object(stores.read(name), name)
        except CofferError as error:
            stores.note(f"{name}: {error}")
            continue
        if each.root == configuration.root and each.number < configuration.number:
            found.append(each)
    return found


def _find(stores: StoreSet) -> list[str]:
    try:
        found = [name for name in stores.names(f"{names.CONFIGURATION}/") if number_of(name) >= 0]
    except FolderMissing as error:
        raise NoVault("There is no vault there", detail=error.detail, resolution="Is it mounted?") from error
    if not found:
        detail = stores.describe()
        raise NoVault("There is no vault there", detail=detail, resolution="Make one with 'coffer vault init'")
    return found


def check_one_vault(stores: Iterable[Store], vault: bytes) -> None:
    """Make sure that every store that answers holds this vault or nothing.

    Raises:
        IntegrityError: One holds another vault.
    """
    for store in stores:
        for info in store.list(f"{names.CONFIGURATION}/"):
            found = open_object(store.get(info.name), info.name)
            if found.vault != vault:
                raise IntegrityError("A store holds another vault", detail=f"{store.url}: {found.vault.hex()}")
