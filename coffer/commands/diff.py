"""`coffer diff`: what differs between two points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from coffer.commands.ls import text_of
from coffer.commands.options import (
    credentials_option,
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

_SIGNS = {"added": "+", "removed": "-", "content": "M", "attributes": "a", "type": "T"}


@click.command()
@click.argument("old", metavar="POINT")
@click.argument("new", metavar="POINT|latest")
@stores_option
@credentials_option
@who_options()
@root_option
@click.option("--source", help="Only this source; without it all that both points have.")
@service_option
@json_option
def diff(
    old: str,
    new: str,
    urls: Sequence[str],
    credentials_file: Path | None,
    who: Who,
    root: str | None,
    source: str | None,
    service: str | None,
    as_json: bool,
) -> None:
    """Show what differs between two points: + added, - removed, M content, a attributes, T type.

    Nothing of the content is fetched: files are compared by their hashes or by where their parts are kept.
    """
    from coffer.vault.reader import VaultReader

    reader = VaultReader.open(open_stores(urls, credentials_file), who.open(), root=root)
    before, after = reader.point(old, service), reader.point(new, service)
    names = [source] if source else [each.name for each in before.sources if after.source(each.name)]
    if not names:
        raise UsageError("The points have no source in common", detail=f"{before.name} and {after.name}")
    rows, counts = [], Counter[str]()
    for name in names:
        for change in reader.differences(before, after, name):
            counts[change.kind.value] += 1
            path, sizes = text_of(change.path), (change.old_size, change.new_size)
            if as_json:
                rows.append({"source": name, "path": path, "change": change.kind.value,
                             "old_size": sizes[0], "new_size": sizes[1]})  # fmt: skip
            else:
                click.echo(f"{_SIGNS[change.kind.value]} {human(sizes[0]):>10} {human(sizes[1]):>10} {name}:{path}")
    if as_json:
        print_json({"old": before.name, "new": after.name, "changes": rows})
    else:
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing differs"
        say(f"{before.name} → {after.name}: {said}")
