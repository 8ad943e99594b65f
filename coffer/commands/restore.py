"""`coffer restore`: bring a point back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.low_priority import take_lowest_priority
from coffer.commands.options import (
    PATH,
    credentials_option,
    human,
    json_option,
    open_stores,
    print_json,
    progress,
    root_option,
    say,
    service_option,
    stores_option,
)
from coffer.commands.restore_database import VaultAccess, choose_point, parse_target, restore_database
from coffer.commands.restore_table import restore_one_table
from coffer.commands.who import Who, who_options
from coffer.errors import Interrupted, NotThere, UsageError

if TYPE_CHECKING:
    from coffer.recovery.target import RestoreTarget
    from coffer.vault.points import Point, PointSource
    from coffer.vault.rate_limit import RateLimit
    from coffer.vault.reader import VaultReader
    from coffer.vault.restoring import RestoreSummary


@click.command()
@click.argument("point_name", metavar="POINT|latest")
@stores_option
@credentials_option
@who_options()
@root_option
@click.option("--to", "destination", type=PATH, required=True, help="Folder that is empty or does not exist.")
@click.option("--source", help="Which source; needed where the point has several.")
@service_option
@click.option("--time", help="Database: bring it to this moment (ISO 8601 with offset).")
@click.option("--lsn", help="Database: bring it to this position of its log.")
@click.option("--name", help="Database: bring it to this named restore point.")
@click.option("--consistent", is_flag=True, help="Database: the point itself, replayed no further than it must.")
@click.option("--timeline", help="Database: the timeline to follow: latest (default), current or its number.")
@click.option("--user", help="Database: account that will run it.")
@click.option("--delta", is_flag=True, help="Database: into this stopped cluster; what matches stays, its pg_wal goes.")
@click.option("--table", metavar="SCHEMA.TABLE", help="Database: only this table, as a file for pg_restore.")
@click.option("--database", help="With --table: the database that has it, where several do.")
@click.option("--scratch", type=PATH, help="With --table: folder for the cluster meanwhile.")
@click.option("--programs", type=PATH, help="With --table: PostgreSQL's folder with bin, of the cluster's version.")
@click.option(
    "--include",
    "globs",
    metavar="GLOB",
    multiple=True,
    help="Only what this means, and what is below it; may be repeated. Without '/': a name anywhere.",
)
@click.option("--jobs", type=click.IntRange(1, 64), help="Reads of a store at a time.")
@click.option("--limit-rate", metavar="RATE", help="Read no faster: bytes a second, with K, M or G.")
@click.option("--low-priority", is_flag=True, help="Take processor and disk only when nobody else wants them.")
@json_option
def restore(
    point_name: str,
    urls: Sequence[str],
    credentials_file: Path | None,
    who: Who,
    root: str | None,
    destination: Path,
    source: str | None,
    service: str | None,
    time: str | None,
    lsn: str | None,
    name: str | None,
    consistent: bool,
    timeline: str | None,
    user: str | None,
    delta: bool,
    table: str | None,
    database: str | None,
    scratch: Path | None,
    programs: Path | None,
    globs: Sequence[str],
    jobs: int | None,
    limit_rate: str | None,
    low_priority: bool,
    as_json: bool,
) -> None:
    """Write a point's files into an empty folder; every byte is proven before it is written.

    With a moment, `latest` is the newest point from which that moment can be reached.
    """
    from coffer.vault.path_globs import PathGlobs
    from coffer.vault.reader import VaultReader

    target = parse_target(time, lsn, name, consistent=consistent, timeline=timeline)
    if low_priority:
        take_lowest_priority()
    reader = VaultReader.open(open_stores(urls, credentials_file), who.open(), root=root)
    if not reader.root_is_pinned:
        say(f"note: the root key was not pinned; compare {reader.root} with your recovery kit")
    reader.jobs, reader.limit = jobs or reader.jobs, parse_rate(limit_rate)
    point, chosen = _choose(reader, point_name, service, source, target)
    include = PathGlobs([os.fsencode(glob) for glob in globs]) if globs else None
    if include and chosen.kind == "postgres":
        raise UsageError("A cluster is restored whole", detail="--include is for files; a table by --table")
    if include and target is not None:
        raise UsageError("--include and a moment exclude each other")
    if (delta or table) and chosen.kind != "postgres":
        raise UsageError("--delta and --table are for databases", detail=f"{chosen.name} is {chosen.kind}")
    if delta and table:
        raise UsageError("--delta and --table exclude each other")
    if table:
        with progress(f"restoring {point.name}", quiet=as_json) as tell:
            restore_one_table(
                reader, point, chosen.name, target, table, destination,
                database=database, scratch=scratch, programs=programs, progress=tell, as_json=as_json,
            )  # fmt: skip
        return
    with progress(f"restoring {point.name}", quiet=as_json) as tell, _saying_what_is_left(destination):
        if chosen.kind == "postgres":
            access = VaultAccess(urls, credentials_file, who.as_config(), reader.root)
            summary = restore_database(reader, access, point, chosen.name, destination, target, user, tell, delta=delta)
        elif target is not None:
            summary = _restore_files(reader, point, chosen.name, target, destination, tell)
        elif chosen.kind == "redis" and include is None:
            from coffer.recovery.restore_redis import restore_redis

            summary = restore_redis(reader, point, destination, source=chosen.name).summary
        else:
            summary = reader.restore(point, chosen.name, destination, include=include, progress=tell)
    if include and not summary.files + summary.directories + summary.symlinks:
        raise NotThere("Nothing in the point is called so", detail=", ".join(include.unmet))
    for note in (*summary.notes, *(f"nothing is called {glob}" for glob in (include.unmet if include else ()))):
        say(f"note: {note}")
    say(f"point {point.name} of {point.service}, taken {point.started:%Y-%m-%d %H:%M:%S} UTC")
    rate = human(summary.bytes / max(summary.seconds, 0.001))
    say(f"{summary.files} files, {human(summary.bytes)} in {summary.seconds:.1f} s, {rate}/s")
    if delta:
        say(f"{human(summary.reused)} stood there already")
    document = {
        "point": point.name,
        "source": chosen.name,
        "to": str(destination),
        "files": summary.files,
        "directories": summary.directories,
        "symlinks": summary.symlinks,
        "bytes": summary.bytes,
        "seconds": summary.seconds,
        "reused": summary.reused,
        "notes": list(summary.notes),
    }
    print_json(document) if as_json else click.echo(point.name)


def parse_rate(text: str | None) -> RateLimit | None:
    """Return the limit that a text such as `20M` names: bytes a second.

    Raises:
        UsageError: It names none.
    """
    from coffer.vault.rate_limit import RateLimit

    if text is None:
        return None
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        rate = float(number) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[unit]
    except (ValueError, KeyError):
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UsageError("That is no rate", detail=text, resolution="Use bytes a second, such as 500K or 20M")
    return RateLimit(rate)


@contextmanager
def _saying_what_is_left(destination: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            "The restore was interrupted",
            detail=f"what is in {destination} is not whole",
            resolution="Remove it and run it again",
        ) from error


def _restore_files(
    reader: VaultReader,
    point: Point,
    source: str,
    target: RestoreTarget,
    destination: Path,
    tell: Callable[[int, int], None] | None,
) -> RestoreSummary:
    """Bring every file back that was there at a moment: of a point, and shipped by then."""
    from coffer.recovery.restore_files import restore_files

    points = reader.points(point.service)
    summary = restore_files(reader, points, source, target, point, destination, service=point.service, progress=tell)
    if summary is None:
        raise NotThere("No point holds these files", detail=source)
    return summary


def _choose(
    reader: VaultReader, name: str, service: str | None, source: str | None, target: RestoreTarget | None
) -> tuple[Point, PointSource]:
    point = reader.point(name, service)
    chosen = _choose_source(point, source)
    if target is None:
        return point, chosen
    if chosen.kind == "files" and target.time is not None:
        return point, chosen
    if chosen.kind != "postgres":
        raise UsageError(
            "Only a database is brought to a moment, and files to a time", detail=f"{chosen.name} is {chosen.kind}"
        )
    if name == "latest":
        point = choose_point(reader, point.service, chosen.name, target)
    return point, chosen


def _choose_source(point: Point, source: str | None) -> PointSource:
    if source is None and len(point.sources) == 1:
        return point.sources[0]
    found = point.source(source) if source else None
    if found is None:
        there = ", ".join(each.name for each in point.sources)
        summary = "Which source?" if source is None else f"The point has no source {source}"
        raise UsageError(summary, detail=f"it has {there}")
    return found
