"""`coffer keygen`: an identity for those who may read, a recipient for those who may write to them."""

from __future__ import annotations

from pathlib import Path

import click

from coffer.commands.options import PATH, json_option, print_json, say


@click.command()
@click.option("--out", "path", type=PATH, required=True, help="New file; FILE.pub stands beside it.")
@json_option
def keygen(path: Path, as_json: bool) -> None:
    """Make an identity in FILE (0600) and its public recipient in FILE.pub.

    Keep the identity where no host that backs up can read it.
    """
    from coffer.keys import generate_identity
    from coffer.keys.identity import public_path

    identity = generate_identity(path)
    say(f"identity {path}, recipient {public_path(path)}")
    document = {
        "identity": str(path),
        "recipient": str(public_path(path)),
        "fingerprint": identity.recipient.fingerprint,
    }
    print_json(document) if as_json else click.echo(identity.recipient.fingerprint)
