"""`coffer vault recipients`: who may open points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from coffer.commands.options import PATH, json_option, print_json
from coffer.commands.vault_access import Access, access_options, remembered, tell
from coffer.errors import UsageError


@click.group()
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
