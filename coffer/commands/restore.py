"""`coffer restore`: bring a point back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import (
    PATH,
    credentials_option,
    human,
    identity_option,
    json_option,
    open_stores,
    print_json,
    progress,
    root_option,
    say,
    service_option,
    stores_option,
)
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.vault.points import Point, PointSource
    from coffer.vault.reader import VaultReader

_PG_LAST = (b"global/pg_control",)
"""Without its control file a half restored cluster does not start."""


@click.command()
@click.argument("name", metavar="POINT|latest")
@stores_option
@credentials_option
@identity_option
@root_option
@click.option("--to", "destination", type=PATH, required=True, help="Folder that is empty or does not exist.")
@click.option("--source", help="Which source; needed where the point has several.")
@service_option
@json_option
def restore(
    name: str,
    urls: Sequence[str],
    credentials_file: Path | None,
    identity: Path,
    root: str | None,
    destination: Path,
    source: str | None,
    service: str | None,
    as_json: bool,
) -> None:
    """Write a point's files into an empty folder; every byte is proven before it is written."""
    from coffer.keys import Identity
    from coffer.vault.reader import VaultReader

    reader = VaultReader.open(open_stores(urls, credentials_file), Identity.load(identity), root=root)
    if not reader.root_is_pinned:
        say(f"note: the root key was not pinned; compare {reader.root} with your recovery kit")
    point = reader.point(name, service)
    chosen = _choose(point, source)
    with progress(f"restoring {point.name}") as tell:
        last = _PG_LAST if chosen.kind == "postgres" else ()
        summary = reader.restore(point, chosen.name, destination, last=last, progress=tell)
    _tell(reader, point)
    say(f"{summary.files} files, {human(summary.bytes)} in {summary.seconds:.1f} s")
    document = {
        "point": point.name,
        "source": chosen.name,
        "to": str(destination),
        "files": summary.files,
        "bytes": summary.bytes,
        "seconds": summary.seconds,
        "notes": list(summary.notes),
    }
    print_json(document) if as_json else click.echo(point.name)


def _choose(point: Point, source: str | None) -> PointSource:
    if source is None and len(point.sources) == 1:
        return point.sources[0]
    found = point.source(source) if source else None
    if found is None:
        there = ", ".join(each.name for each in point.sources)
        raise UsageError(
            "Which source?" if source is None else f"The point has no source {source}", detail=f"it has {there}"
        )
    return found


def _tell(reader: VaultReader, point: Point) -> None:
    for note in reader.notes:
        say(f"note: {note}")
    say(f"point {point.name} of {point.service}, taken {point.started:%Y-%m-%d %H:%M:%S} UTC")
