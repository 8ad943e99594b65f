"""`coffer replicate`: bring other stores up to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from coffer.commands.options import credentials_option, human, json_option, open_stores, print_json, progress, say


@click.command()
@click.option("--from", "source", metavar="URL", required=True, help="Where everything is.")
@click.option(
    "--to", "targets", metavar="URL", multiple=True, required=True, help="Where it shall be; may be repeated."
)
@credentials_option
@json_option
def replicate(source: str, targets: Sequence[str], credentials_file: Path | None, as_json: bool) -> None:
    """Copy what the targets lack, each object compared with its name; needs no key."""
    from coffer.vault.replication import replicate as copy

    stores = open_stores([source, *targets], credentials_file)
    with progress("replicating", unit_bytes=False) as tell:
        report = copy(stores[0], stores[1:], tell)
    say(f"{report.objects} objects, {human(report.bytes)} copied; {len(report.points)} points whole everywhere")
    for problem in report.problems:
        say(f"not copied: {problem}")
    if as_json and report.ok:
        print_json(asdict(report))
    report.raise_for_problems()
