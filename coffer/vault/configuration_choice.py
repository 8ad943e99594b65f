"""Which of the configurations that are there is believed: the newest that a known root signed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from coffer.errors import CofferError, IntegrityError
from coffer.vault.configuration_records import Configuration, number_of, open_object
from coffer.vault.store_set import StoreSet


def newest(stores: StoreSet, found: Sequence[str], roots: Collection[str] | None, chosen: str | None) -> Configuration:
    """Choose among configurations by name; see `configuration.load`.

    Raises:
        IntegrityError: None is genuine, two bear the highest number, or two roots signed and none is known.
    """
    failure: CofferError | None = None
    for number in sorted({number_of(name) for name in found}, reverse=True):
        genuine: dict[str, Configuration] = {}
        for name in (each for each in found if number_of(each) == number):
            try:
                genuine[name] = believed(open_object(stores.read(name), name), roots)
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


def believed(configuration: Configuration, roots: Collection[str] | None) -> Configuration:
    """Return a configuration if its root is one of those that are believed.

    Raises:
        IntegrityError: It is another's.
    """
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


def _check_one_root(stores: StoreSet, found: Sequence[str], configuration: Configuration) -> None:
    """Refuse to choose between two roots where none is known."""
    for name in found:
        other = open_object(stores.read(name), name)
        if other.root != configuration.root:
            raise IntegrityError(
                "Two root keys signed configurations",
                detail=f"{configuration.fingerprint} and {other.fingerprint}",
                resolution="Name the one to believe: --root",
            )
