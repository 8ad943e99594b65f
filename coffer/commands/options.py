"""Options that several nouns share, and how they print."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coffer.vault.points import Point
    from coffer.vault.stores import Store

PATH = click.Path(path_type=Path)
Progress = Callable[[int, int], None]
_LINE_SECONDS = 10.0

stores_option = click.option(
    "--store", "urls", metavar="URL", multiple=True, required=True, help="file:///DIR, s3://…; may be repeated."
)
credentials_option = click.option(
    "--aws-credentials",
    "credentials_file",
    type=PATH,
    envvar="COFFER_AWS_CREDENTIALS",
    help="AWS credentials file that holds the URL's profile; else the usual places.",
)
writer_option = click.option("--writer", "writer", type=PATH, required=True, help="Writer's file.")
root_option = click.option("--root", metavar="FINGERPRINT", help="Root key to believe, as the recovery kit has it.")
service_option = click.option("--service", default=None, help="Only this service's points.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def open_stores(urls: Sequence[str], credentials_file: Path | None) -> list[Store]:
    """Open every store that was named."""
    from coffer.vault.stores import open_store

    return [open_store(url, credentials_file=credentials_file) for url in urls]


def say(text: str) -> None:
    """Tell people something: on stderr, so that stdout holds only results."""
    click.echo(text, err=True)


def print_json(document: object) -> None:
    """Print the one JSON document of a command."""
    click.echo(json.dumps(document, default=_plain, ensure_ascii=False))


def describe_point(point: Point) -> dict[str, Any]:
    """Return a point as `--json` prints it."""
    return {
        "name": point.name,
        "service": point.service,
        "kind": point.kind.value,
        "started": point.started,
        "finished": point.finished,
        "parent": point.parent,
        "size": point.size,
        "stored": point.stored,
        "sources": [
            {"name": each.name, "kind": each.kind, "done": each.done.value, "files": each.files, "size": each.size}
            for each in point.sources
        ],
        "stores": list(point.stores),
        "facts": dict(point.facts),
    }


def human(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@contextmanager
def progress(title: str, *, unit_bytes: bool = True, quiet: bool = False) -> Iterator[Progress | None]:
    """Show a bar on a terminal; elsewhere a line now and then, so that a log shows that something moves.

    Args:
        title: What is being done.
        unit_bytes: Whether bytes are counted.
        quiet: Show nothing: for `--json`.
    """
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        yield _lines(title, human if unit_bytes else "{:.0f}".format)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    counts = [DownloadColumn(), TransferSpeedColumn()] if unit_bytes else [MofNCompleteColumn()]
    with Bar(
        TextColumn("{task.description}"), BarColumn(), *counts, console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(title: str, show: Callable[[float], str]) -> Progress:
    began = said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _LINE_SECONDS:
            said = now
            say(f"{title}: {show(done)} of {show(total)}, {show(done / (now - began))}/s")

    return tell


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
