"""`coffer vault`: make a vault; say who may open it, who may write into it, and how long points are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from coffer.commands.options import (
    PATH,
    credentials_option,
    json_option,
    open_stores,
    print_json,
    say,
    stores_option,
)
from coffer.commands.vault_access import Access, access_options, remembered, tell
from coffer.commands.vault_retention import retention
from coffer.errors import UsageError


@click.group()
def vault() -> None:
    """Make a vault; say who may open it, who may write, how long points are kept."""


vault.add_command(retention)


@vault.command()
@stores_option
@credentials_option
@click.option("--recipient", "recipients", type=PATH, multiple=True, help="FILE.pub; may be repeated.")
@click.option("--kms", "kms_keys", metavar="KEY_ARN", multiple=True, help="Key in AWS KMS; may be repeated.")
@click.option("--passphrase-file", type=PATH, help="A passphrase that shall open the vault too.")
@click.option("--ask-passphrase", "ask", is_flag=True, help="Ask for that passphrase, without echo.")
@click.option("--writer", "writer", type=PATH, required=True, help="New file for the writer's credentials.")
@click.option("--writer-name", default="writer", help="What people call it.")
@click.option("--pruner", type=PATH, help="New file for whoever prunes.")
@json_option
def init(
    urls: Sequence[str],
    credentials_file: Path | None,
    recipients: Sequence[Path],
    kms_keys: Sequence[str],
    passphrase_file: Path | None,
    ask: bool,
    writer: Path,
    writer_name: str,
    pruner: Path | None,
    as_json: bool,
) -> None:
    """Make a vault and the writer's credentials; pin its root in the writer's file and in every FILE.pub."""
    from coffer.keys import PrunerCredentials, Recipient
    from coffer.vault.creation import create_vault

    readers = [*map(Recipient.load, recipients), *map(Recipient.of_kms, kms_keys)]
    phrases = remembered(passphrase_file, ask)
    if not readers and not phrases:
        raise UsageError("Nobody could open that vault", resolution="Use --recipient, --kms or --passphrase-file")
    stores = open_stores(urls, credentials_file)
    made = create_vault(stores, readers, writer, writer_name=writer_name, remembered=phrases)
    if pruner is not None:
        PrunerCredentials(made.vault, made.root).save(pruner)
    say(f"vault {made.vault} in {', '.join(store.url for store in stores)}")
    say(f"root key {made.root}: write it down, a restore from elsewhere compares it")
    document = {"vault": made.vault, "root": made.root, "writer": str(writer), "stores": [each.url for each in stores]}
    print_json(document) if as_json else click.echo(made.vault)


@vault.command()
@access_options
@click.option("--out", "path", type=PATH, required=True, help="New file.")
@click.option("--delete-credentials", type=PATH, help="AWS credentials file of the identity that may delete.")
def pruner(access: Access, path: Path, delete_credentials: Path | None) -> None:
    """Write a pruner's file: which vault it may prune, and with which store identity."""
    access.open().make_pruner(path, delete_credentials)


@vault.command()
@access_options
@click.option("--believe", metavar="SHA256", help="Which of two configurations of the same number to believe.")
def settle(access: Access, believe: str | None) -> None:
    """Complete a change that was cut short; change nothing where nothing is left to do."""
    administration = access.open(believe=believe)
    tell(administration.settle() if believe is None else administration.settle_two())


@vault.group()
def recipients() -> None:
    """Who may open points."""


@recipients.command("list")
@access_options
@json_option
def list_recipients(access: Access, as_json: bool) -> None:
    """List who may open points."""
    found = access.open().configuration.recipients
    if as_json:
        print_json([{"name": each.name, "fingerprint": each.fingerprint.hex(), "kind": each.kind} for each in found])
        return
    for each in found:
        click.echo(f"{each.fingerprint.hex()}  {each.name}{'' if each.kind == 'x-wing' else f'  {each.kind}'}")


@recipients.command("add")
@click.argument("recipient", type=PATH, required=False, metavar="[FILE.pub]")
@click.option("--new-kms", "kms_key", metavar="KEY_ARN", help="Instead: a key in AWS KMS.")
@click.option("--new-passphrase-file", "new_passphrase", type=PATH, help="Instead: a passphrase, in a file.")
@click.option("--new-passphrase", "ask_new", is_flag=True, help="Instead: a passphrase, asked for without echo.")
@click.option("--name", help="What people call it; a passphrase's is 'passphrase'.")
@access_options
def add_recipient(
    recipient: Path | None,
    kms_key: str | None,
    new_passphrase: Path | None,
    ask_new: bool,
    name: str | None,
    access: Access,
) -> None:
    """Let the owner of FILE.pub, a KMS key or a passphrase open all points, old and new."""
    from dataclasses import replace

    from coffer.keys import Recipient

    phrases = remembered(new_passphrase, ask_new, name)
    if sum((recipient is not None, kms_key is not None, bool(phrases))) != 1:
        raise UsageError("One recipient at a time", resolution="FILE.pub, --new-kms or --new-passphrase-file")
    if phrases:
        tell(access.open().add_passphrase(phrases[0]))
        return
    made = Recipient.load(recipient) if recipient is not None else Recipient.of_kms(str(kms_key))
    tell(access.open().add_recipient(replace(made, name=name) if name else made))


@recipients.command("remove")
@click.argument("recipient")
@access_options
def remove_recipient(recipient: str, access: Access) -> None:
    """Wrap all keys without someone, named by name or fingerprint; what they copied before stays theirs."""
    tell(access.open().remove_recipient(recipient))


@vault.group()
def writers() -> None:
    """Who may write points."""


@writers.command("list")
@access_options
@json_option
def list_writers(access: Access, as_json: bool) -> None:
    """List who may write points."""
    found = access.open().configuration.writers
    if as_json:
        print_json([{"name": each.name, "id": each.id, "revoked": bool(each.revoked_ns)} for each in found])
        return
    for each in found:
        click.echo(f"{each.id}  {each.name}{'  revoked' if each.revoked_ns else ''}")


@writers.command("add")
@click.argument("name")
@access_options
@click.option("--out", "path", type=PATH, required=True, help="New file for its credentials.")
def add_writer(name: str, access: Access, path: Path) -> None:
    """Admit another writer and write its credentials."""
    made = access.open().add_writer(name, path)
    click.echo(made.id)


@writers.command("revoke")
@click.argument("name")
@access_options
def revoke_writer(name: str, access: Access) -> None:
    """Believe a writer no longer; what it committed until now stays genuine."""
    tell(access.open().revoke_writer(name))
