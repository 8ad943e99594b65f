"""`coffer backup`: take a recovery point of any number of sources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.backup_progress import showing_backup
from coffer.commands.options import (
    credentials_option,
    describe_point,
    human,
    json_option,
    open_stores,
    print_json,
    say,
    stores_option,
    writer_option,
)
from coffer.commands.restore import parse_rate
from coffer.errors import DamagedAtSource, NotInEveryStore

if TYPE_CHECKING:
    from coffer.vault.capture import Kind
    from coffer.vault.point_builder import SourceSummary
    from coffer.vault.points import Point
    from coffer.vault.writer import VaultWriter


@click.command()
@stores_option
@credentials_option
@writer_option
@click.option(
    "--source",
    "sources",
    metavar="[NAME=]SOURCE",
    multiple=True,
    required=True,
    help="files:PATH, postgres:CONNINFO, redis:URL, environment:PATH, manifests:PATH, kubernetes:CONTEXT/NAMESPACE, "
    "prefect:URL; env:NAME, file:PATH or block:TYPE/NAME may stand for an address. May be repeated.",
)
@click.option("--service", default="default", show_default=True, help="Whose point it is.")
@click.option(
    "--kind", type=click.Choice(["auto", "full", "incremental", "differential"]), default="auto", show_default=True
)
@click.option("--request", help="Id of the request: the same one finds the point it already made.")
@click.option(
    "--compression",
    type=click.Choice(["zstd", "gzip", "none"]),
    default="zstd",
    show_default=True,
    help="What is done to content; what does not shrink is stored as it is.",
)
@click.option("--level", type=int, help="How hard to compress: zstd 1 to 19 (default 1), gzip 1 to 9 (default 6).")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads for content.")
@click.option("--limit-rate", metavar="RATE", help="Take no more from sources: bytes a second, with K, M or G.")
@json_option
def backup(
    urls: Sequence[str],
    credentials_file: Path | None,
    writer: Path,
    sources: Sequence[str],
    service: str,
    kind: str,
    request: str | None,
    compression: str,
    level: int | None,
    jobs: int,
    limit_rate: str | None,
    as_json: bool,
) -> None:
    """Take a recovery point; `auto` is an incremental where an earlier point is, else a full."""
    from coffer.keys import WriterCredentials
    from coffer.recovery.cut import take_cut
    from coffer.recovery.source_table import parse_sources
    from coffer.vault.compression import Compression
    from coffer.vault.point_request import PointOptions
    from coffer.vault.writer import VaultWriter

    wanted = parse_sources(sources)
    packing, limit = Compression.parse(compression, level), parse_rate(limit_rate)
    vault = VaultWriter.open(open_stores(urls, credentials_file), WriterCredentials.load(writer))
    chosen = _kind(kind, vault, service)
    started = datetime.now(UTC)
    summaries: list[SourceSummary] = []

    def report(summary: SourceSummary) -> None:
        summaries.append(summary)
        _tell(summary)

    with showing_backup(quiet=as_json) as progress:
        options = PointOptions(packing, jobs, limit, progress)
        try:
            with vault.begin_point(
                service=service, kind=chosen, started=started, point_id_seed=request, options=options
            ) as builder:
                facts = take_cut(vault, builder, wanted, service, report=report, say=say)
                point = builder.commit(facts)
        except (NotInEveryStore, DamagedAtSource) as error:
            _print(error.point, summaries, as_json)
            raise
    for note in vault.notes:
        say(f"note: {note}")
    _print(point, summaries, as_json)


def _kind(kind: str, vault: VaultWriter, service: str) -> Kind:
    from coffer.vault.capture import Kind

    if kind == "auto":
        return Kind.INCREMENTAL if vault.latest(service) else Kind.FULL
    return Kind(kind)


def _tell(summary: SourceSummary) -> None:
    say(
        f"{summary.name}: {summary.done.value}, {summary.files} entries of {human(summary.size)}, "
        f"{human(summary.read)} read in {summary.seconds:.1f} s"
    )
    notes = summary.facts.get("notes")
    for note in notes if isinstance(notes, list) else []:
        say(f"note: {note!s}")


def _print(point: Point, summaries: Sequence[SourceSummary], as_json: bool) -> None:
    say(f"{point.kind.value} point of {human(point.size)}, {human(point.stored)} new, in {', '.join(point.stores)}")
    if not as_json:
        click.echo(point.name)
        return
    document = describe_point(point)
    for each, summary in zip(document["sources"], summaries, strict=True):
        each |= {"read": summary.read, "seconds": round(summary.seconds, 3)}
    print_json(document)
