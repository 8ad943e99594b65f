"""Opens a vault as a disaster leaves one: its stores, and a key from escrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coffer.keys import Identity
from coffer.recovery.report import DrillReport
from coffer.recovery.sabotage import Sabotage
from coffer.recovery.sabotage_stores import older, truncated
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store


def open_vault(
    stores: Sequence[Store],
    identity: Path,
    root: str | None,
    service: str,
    *,
    sabotage: Sabotage | None,
    report: DrillReport,
) -> VaultReader:
    """Open it, or what sabotage made of it.

    Raises:
        WrongKey: The identity is no recipient.
        IntegrityError: It is not the vault whose root is believed, or was set back.
        Unreachable: No store answers.
    """
    if sabotage is Sabotage.WRONG_KEY:
        return VaultReader.open(stores, Identity.generate(), root=root)
    reader = VaultReader.open(stores, Identity.load(identity), root=root)
    if sabotage is not Sabotage.OLDER_REPLICA:
        return reader
    # What was last seen of the vault stands beside the identity; each read-back and each drill writes it down.
    reader.points(service)
    changed, what = older(stores, service)
    report.sabotage += f" {what}"
    return VaultReader.open(changed, Identity.load(identity), root=root)


def damage_content(
    reader: VaultReader,
    stores: Sequence[Store],
    identity: Path,
    root: str | None,
    point: Point,
    *,
    sabotage: Sabotage | None,
    report: DrillReport,
) -> VaultReader:
    """Return the vault to restore from: the same, unless a pack of the point is to be cut off.

    Raises:
        NotThere: The point needs no pack.
    """
    if sabotage is not Sabotage.TRUNCATED_PACK:
        return reader
    changed, pack = truncated(stores, reader, point)
    report.sabotage += f" {pack}"
    return VaultReader.open(changed, Identity.load(identity), root=root)
