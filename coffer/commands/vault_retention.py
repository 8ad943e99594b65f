"""`coffer vault retention`: how long points are kept at least, signed by the root."""

from __future__ import annotations

from pathlib import Path

import click

from coffer.commands.options import PATH, json_option, print_json
from coffer.commands.vault_access import Access, access_options, tell


@click.group()
def retention() -> None:
    """How long points are kept at least: no pruner can keep less."""


@retention.command("set")
@access_options
@click.option("--policy", type=PATH, required=True, help="TOML: keep-last, keep-days, keep-daily, …, grace-hours.")
def set_retention(access: Access, policy: Path) -> None:
    """Sign a policy; writers lock what they write for as long, and a prune keeps at least that."""
    from coffer.vault.retention_policy import RetentionPolicy

    rules = RetentionPolicy.load(policy)
    tell(access.open().set_retention(rules))


@retention.command("show")
@access_options
@json_option
def show_retention(access: Access, as_json: bool) -> None:
    """Print the policy that the root has signed, as a policy file."""
    from coffer.vault.retention_policy import RetentionPolicy

    keys = RetentionPolicy.signed(access.open().configuration.retention).as_keys()
    if as_json:
        print_json(keys)
        return
    for key, value in keys.items():
        click.echo(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
