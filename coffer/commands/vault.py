"""`coffer vault`: make a vault; say who may open it and who may write into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import (
    PATH,
    credentials_option,
    identity_option,
    json_option,
    open_stores,
    print_json,
    say,
    stores_option,
)

if TYPE_CHECKING:
    from coffer.vault.administration import Change, VaultAdministration


@click.group()
def vault() -> None:
    """Make a vault; say who may open it and who may write."""


@vault.command()
@stores_option
@credentials_option
@click.option("--recipient", "recipients", type=PATH, multiple=True, required=True, help="FILE.pub; may be repeated.")
@click.option("--writer", "writer", type=PATH, required=True, help="New file for the writer's credentials.")
@click.option("--writer-name", default="writer", help="What people call it.")
@click.option("--pruner", type=PATH, help="New file for whoever prunes.")
@json_option
def init(
    urls: Sequence[str],
    credentials_file: Path | None,
    recipients: Sequence[Path],
    writer: Path,
    writer_name: str,
    pruner: Path | None,
    as_json: bool,
) -> None:
    """Make a vault and the writer's credentials; pin its root in the writer's file and in every FILE.pub."""
    from coffer.keys import PrunerCredentials, Recipient
    from coffer.vault.creation import create_vault

    stores = open_stores(urls, credentials_file)
    readers = [Recipient.load(path) for path in recipients]
    made = create_vault(stores, readers, writer, writer_name=writer_name)
    if pruner is not None:
        PrunerCredentials(made.vault, made.root).save(pruner)
    say(f"vault {made.vault} in {', '.join(store.url for store in stores)}")
    say(f"root key {made.root}: write it down, a restore from elsewhere compares it")
    document = {"vault": made.vault, "root": made.root, "writer": str(writer), "stores": [each.url for each in stores]}
    print_json(document) if as_json else click.echo(made.vault)


@vault.command()
@stores_option
@credentials_option
@identity_option
@click.option("--out", "path", type=PATH, required=True, help="New file.")
@click.option("--delete-credentials", type=PATH, help="AWS credentials file of the identity that may delete.")
def pruner(
    urls: Sequence[str],
    credentials_file: Path | None,
    identity: Path,
    path: Path,
    delete_credentials: Path | None,
) -> None:
    """Write a pruner's file: which vault it may prune, and with which store identity."""
    _administration(urls, credentials_file, identity).make_pruner(path, delete_credentials)


@vault.group()
def recipients() -> None:
    """Who may open points."""


@recipients.command("list")
@stores_option
@credentials_option
@identity_option
@json_option
def list_recipients(urls: Sequence[str], credentials_file: Path | None, identity: Path, as_json: bool) -> None:
    """List who may open points."""
    found = _administration(urls, credentials_file, identity).configuration.recipients
    if as_json:
        print_json([{"name": each.name, "fingerprint": each.fingerprint.hex()} for each in found])
        return
    for each in found:
        click.echo(f"{each.fingerprint.hex()}  {each.name}")


@recipients.command("add")
@click.argument("recipient", type=PATH)
@stores_option
@credentials_option
@identity_option
def add_recipient(recipient: Path, urls: Sequence[str], credentials_file: Path | None, identity: Path) -> None:
    """Let the owner of FILE.pub open all points, old and new."""
    from coffer.keys import Recipient

    _tell(_administration(urls, credentials_file, identity).add_recipient(Recipient.load(recipient)))


@recipients.command("remove")
@click.argument("recipient")
@stores_option
@credentials_option
@identity_option
def remove_recipient(recipient: str, urls: Sequence[str], credentials_file: Path | None, identity: Path) -> None:
    """Wrap all keys without someone, named by name or fingerprint."""
    _tell(_administration(urls, credentials_file, identity).remove_recipient(recipient))


@vault.group()
def writers() -> None:
    """Who may write points."""


@writers.command("list")
@stores_option
@credentials_option
@identity_option
@json_option
def list_writers(urls: Sequence[str], credentials_file: Path | None, identity: Path, as_json: bool) -> None:
    """List who may write points."""
    found = _administration(urls, credentials_file, identity).configuration.writers
    if as_json:
        print_json([{"name": each.name, "id": each.id, "revoked": bool(each.revoked_ns)} for each in found])
        return
    for each in found:
        click.echo(f"{each.id}  {each.name}{'  revoked' if each.revoked_ns else ''}")


@writers.command("add")
@click.argument("name")
@stores_option
@credentials_option
@identity_option
@click.option("--out", "path", type=PATH, required=True, help="New file for its credentials.")
def add_writer(name: str, urls: Sequence[str], credentials_file: Path | None, identity: Path, path: Path) -> None:
    """Admit another writer and write its credentials."""
    made = _administration(urls, credentials_file, identity).add_writer(name, path)
    click.echo(made.id)


@writers.command("revoke")
@click.argument("name")
@stores_option
@credentials_option
@identity_option
def revoke_writer(name: str, urls: Sequence[str], credentials_file: Path | None, identity: Path) -> None:
    """Believe a writer no longer; what it committed until now stays genuine."""
    _tell(_administration(urls, credentials_file, identity).revoke_writer(name))


def _administration(urls: Sequence[str], credentials_file: Path | None, identity: Path) -> VaultAdministration:
    from coffer.keys import Identity
    from coffer.vault.administration import VaultAdministration

    return VaultAdministration(open_stores(urls, credentials_file), Identity.load(identity))


def _tell(change: Change) -> None:
    say(f"configuration {change.number}, {change.rewrapped} keys wrapped anew")
    if change.left:
        say(f"{change.left} old key objects could not be removed: whoever could open them still can")
