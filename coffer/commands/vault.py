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
from coffer.commands.vault_recipients import recipients
from coffer.commands.vault_retention import retention
from coffer.commands.vault_writers import writers
from coffer.errors import UsageError


@click.group()
def vault() -> None:
    """Make a vault; say who may open it, who may write, how long points are kept."""


for group in (recipients, writers, retention):
    vault.add_command(group)


@vault.command()
@stores_option
@credentials_option
@click.option("--recipient", "files", type=PATH, multiple=True, help="FILE.pub; may be repeated.")
@click.option("--kms", "kms_keys", metavar="KEY_ARN", multiple=True, help="Key in AWS KMS; may be repeated.")
@click.option("--passphrase-file", type=PATH, help="A passphrase that shall open the vault too.")
@click.option("--ask-passphrase", "ask", is_flag=True, help="Ask for that passphrase, without echo.")
@click.option("--writer", "writer", type=PATH, required=True, help="New file for the writer's credentials.")
@click.option("--writer-name", default="writer", help="What people call it.")
@click.option("--pruner", type=PATH, help="New file for whoever prunes.")
@click.option("--policy", type=PATH, help="How long points are kept at least; see 'coffer vault retention'.")
@json_option
def init(
    urls: Sequence[str],
    credentials_file: Path | None,
    files: Sequence[Path],
    kms_keys: Sequence[str],
    passphrase_file: Path | None,
    ask: bool,
    writer: Path,
    writer_name: str,
    pruner: Path | None,
    policy: Path | None,
    as_json: bool,
) -> None:
    """Make a vault and the writer's credentials; pin its root in the writer's file and in every FILE.pub."""
    from coffer.keys import PrunerCredentials, Recipient
    from coffer.vault.creation import create_vault
    from coffer.vault.retention_policy import RetentionPolicy

    rules = RetentionPolicy.load(policy) if policy else None
    readers = [*map(Recipient.load, files), *map(Recipient.of_kms, kms_keys)]
    phrases = remembered(passphrase_file, ask)
    if not readers and not phrases:
        raise UsageError("Nobody could open that vault", resolution="Use --recipient, --kms or --passphrase-file")
    stores = open_stores(urls, credentials_file)
    made = create_vault(stores, readers, writer, writer_name=writer_name, remembered=phrases, retention=rules)
    if pruner is not None:
        PrunerCredentials(made.vault, made.root).save(pruner)
    say(f"vault {made.vault} in {', '.join(store.url for store in stores)}")
    say(f"root key {made.root}: write it down, a restore from elsewhere compares it")
    document = {"vault": made.vault, "root": made.root, "writer": str(writer), "stores": [each.url for each in stores]}
    print_json(document) if as_json else click.echo(made.vault)


@vault.command()
@access_options
@click.option("--out", "path", type=PATH, required=True, help="New file.")
@click.option(
    "--delete-credentials", type=PATH, help="AWS credentials of who may delete, under the profiles that stores name."
)
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
