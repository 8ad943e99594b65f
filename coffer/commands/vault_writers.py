"""`coffer vault writers`: who may write points."""

from __future__ import annotations

from pathlib import Path

import click

from coffer.commands.options import PATH, json_option, print_json
from coffer.commands.vault_access import Access, access_options, tell


@click.group()
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
