"""`coffer points`: what can be brought back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from coffer.commands.options import (
    PATH,
    credentials_option,
    describe_point,
    human,
    json_option,
    open_stores,
    print_json,
    root_option,
    say,
    service_option,
    stores_option,
)
from coffer.commands.who import Who, who_options
from coffer.errors import UsageError


@click.command()
@stores_option
@credentials_option
@click.option("--writer", type=PATH, help="Writer's file.")
@who_options(required=False)
@root_option
@service_option
@json_option
def points(
    urls: Sequence[str],
    credentials_file: Path | None,
    writer: Path | None,
    who: Who,
    root: str | None,
    service: str | None,
    as_json: bool,
) -> None:
    """List recovery points, newest last: kind, age, size, stores, and what each has passed."""
    from coffer.commands.shelf import Shelf
    from coffer.keys import WriterCredentials
    from coffer.vault.reader import VaultReader
    from coffer.vault.writer import VaultWriter

    stores = open_stores(urls, credentials_file)
    vault: VaultReader | VaultWriter
    if writer is not None:
        vault = VaultWriter.open(stores, WriterCredentials.load(writer))
    elif who.named:
        vault = VaultReader.open(stores, who.open(), root=root)
    else:
        raise UsageError("Points are read with --writer or --identity")
    found, ledger = vault.points(service), vault.proofs()
    for note in (*vault.notes, *ledger.notes):
        say(f"note: {note}")
    shelf = Shelf(found, ledger, vault.retention.keep_days, datetime.now(UTC))
    if as_json:
        print_json([{**describe_point(point), **shelf.describe(point)} for point in found])
        return
    for point in found:
        where = f"{len(point.stores)} stores" if len(point.stores) == len(stores) else f"only {', '.join(point.stores)}"
        click.echo(
            f"{point.name}  {point.service}  {point.kind.value:<12} {shelf.age(point):>6}  {human(point.size):>10}  "
            f"{where}  {shelf.proofs(point).describe()}"
        )
    for line in shelf.windows():
        say(line)
