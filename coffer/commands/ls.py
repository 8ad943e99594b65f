"""`coffer ls`: what a point holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coffer.commands.options import (
    credentials_option,
    human,
    json_option,
    open_stores,
    print_json,
    root_option,
    service_option,
    stores_option,
)
from coffer.commands.who import Who, who_options
from coffer.errors import NotThere

if TYPE_CHECKING:
    from coffer.vault.capture import StoredEntry
    from coffer.vault.points import Point
    from coffer.vault.reader import VaultReader

_LETTERS = {"file": "-", "directory": "d", "symlink": "l"}


@click.command()
@click.argument("point_name", metavar="POINT|latest")
@click.argument("path", metavar="[PATH]", default="")
@stores_option
@credentials_option
@who_options()
@root_option
@click.option("--source", help="Only this source; without it all of the point's.")
@service_option
@click.option("--recursive", "-R", is_flag=True, help="All that is below, not only the next level.")
@json_option
def ls(
    point_name: str,
    path: str,
    urls: Sequence[str],
    credentials_file: Path | None,
    who: Who,
    root: str | None,
    source: str | None,
    service: str | None,
    recursive: bool,
    as_json: bool,
) -> None:
    """Show what a point holds: names, sizes, times. Nothing of its content is fetched.

    Modes, sizes in bytes, times in UTC, and the path behind its source, as `restore --source … --include` takes them.
    """
    from coffer.vault.reader import VaultReader

    reader = VaultReader.open(open_stores(urls, credentials_file), who.open(), root=root)
    point = reader.point(point_name, service)
    names = [source] if source else [each.name for each in point.sources]
    wanted = os.fsencode(path.strip("/"))
    shown = ((name, entry) for name in names for entry in _below(reader, point, name, wanted, recursive))
    if as_json:
        rows = [_describe(name, entry) for name, entry in shown]
        _refuse_none(len(rows), path, point)
        print_json({"point": point.name, "service": point.service, "entries": rows})
        return
    count = 0
    for name, entry in shown:
        click.echo(_line(name, entry))
        count += 1
    _refuse_none(count, path, point)


def _below(reader: VaultReader, point: Point, source: str, wanted: bytes, recursive: bool) -> Iterator[StoredEntry]:
    inside = wanted + b"/" if wanted else b""
    for entry in reader.entries(point, source):
        is_it = entry.path == wanted and entry.type.value != "directory"
        below = entry.path.startswith(inside) and (recursive or b"/" not in entry.path[len(inside) :])
        if is_it or below:
            yield entry


def _refuse_none(count: int, path: str, point: Point) -> None:
    if not count and path:
        raise NotThere("The point has nothing there", detail=f"{path} in {point.name}")


def _line(source: str, entry: StoredEntry) -> str:
    mode = _LETTERS[entry.type.value] + stat.filemode(entry.mode)[1:]
    when = datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
    target = f" -> {text_of(entry.target)}" if entry.target else ""
    return f"{mode} {human(entry.size):>10} {when:%Y-%m-%d %H:%M:%S} {source}:{text_of(entry.path)}{target}"


def _describe(source: str, entry: StoredEntry) -> dict[str, Any]:
    return {
        "source": source,
        "path": text_of(entry.path),
        "type": entry.type.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "modified": datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC),
        "target": text_of(entry.target),
    }


def text_of(name: bytes) -> str:
    """Return a name so that no terminal acts on what is in it."""
    text = name.decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
