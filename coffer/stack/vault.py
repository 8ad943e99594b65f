"""The local stack's vault: made at first start, its identity put into escrow."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import StepFailed
from coffer.keys import PrunerCredentials, Recipient, WriterCredentials, generate_identity
from coffer.keys.identity import public_path
from coffer.stack.layout import Layout
from coffer.vault import names
from coffer.vault.creation import create_vault
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores import Store, open_store

RETENTION = RetentionPolicy(keep_days=7)
"""What the local vault's root signs: whatever a point names is locked for a week in both regions, for everybody."""


@dataclass(frozen=True)
class VaultFiles:
    """Where the vault's keys are.

    Attributes:
        writer: Seals and signs; opens nothing.
        recipient: The public half of the identity, for whoever adds a vault or a writer.
        identity: Opens everything; for the escrow worker alone.
        pruner: Says what may be pruned; for the escrow worker alone.
        pruner_credentials: Store identities that may delete, under the profiles that the stores' addresses name.
    """

    writer: Path
    recipient: Path
    identity: Path
    pruner: Path
    pruner_credentials: Path

    @classmethod
    def of(cls, layout: Layout) -> VaultFiles:
        """Return the paths of a layout."""
        secrets, escrow = layout.secrets, layout.escrow
        return cls(
            writer=secrets / "writer",
            recipient=secrets / "recipient.pub",
            identity=escrow / "identity",
            pruner=escrow / "pruner",
            pruner_credentials=escrow / "pruner-aws-credentials",
        )


def ensure_vault(files: VaultFiles, urls: list[str], credentials_file: Path) -> str:
    """Make the vault in every store, or find it made.

    Returns:
        A word for people.

    Raises:
        StepFailed: It is in some stores and not in others.
    """
    stores = [open_store(url, credentials_file=credentials_file) for url in urls]
    present = [store.url for store in stores if _holds_vault(store)]
    if present and len(present) < len(stores):
        raise StepFailed(
            "the vault is not in every store",
            detail=f"only in {', '.join(present)}",
            resolution="Copy it with `coffer replicate`, or start anew: coffer stack down --purge",
        )
    if present:
        _ensure_pruner(files)
        return "there"
    if not files.identity.exists():
        generate_identity(files.identity)
    # The writer's file is written before the vault: one without a vault is left from a start that was interrupted.
    files.writer.unlink(missing_ok=True)
    public = public_path(files.identity)
    create_vault(stores, [Recipient.load(public)], files.writer, retention=RETENTION)
    # Others need the public half, with the vault's root pinned in it, and have no business in escrow.
    shutil.copyfile(public, files.recipient)
    files.pruner.unlink(missing_ok=True)
    _ensure_pruner(files)
    return "made"


def _ensure_pruner(files: VaultFiles) -> None:
    if not files.pruner.exists():
        writer = WriterCredentials.load(files.writer)
        PrunerCredentials(writer.vault, writer.root, files.pruner_credentials).save(files.pruner)


def _holds_vault(store: Store) -> bool:
    return next(store.list(f"{names.CONFIGURATION}/"), None) is not None
