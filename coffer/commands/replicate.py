"""`coffer replicate`: bring other stores up to one, or to several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from coffer.commands.options import credentials_option, human, json_option, open_stores, print_json, progress, say


@click.command()
@click.option(
    "--from",
    "sources",
    metavar="URL",
    multiple=True,
    required=True,
    help="Where everything is; may be repeated: what is bad in one is taken from the next.",
)
@click.option(
    "--to", "targets", metavar="URL", multiple=True, required=True, help="Where it shall be; may be repeated."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Objects on the way at once.")
@credentials_option
@json_option
def replicate(
    sources: Sequence[str], targets: Sequence[str], jobs: int, credentials_file: Path | None, as_json: bool
) -> None:
    """Copy what the targets lack, each object compared with its name; needs no key. Run it again to go on."""
    from coffer.vault.replication import replicate as copy

    origins, copies = open_stores(sources, credentials_file), open_stores(targets, credentials_file)
    with progress("replicating") as tell:
        report = copy(origins, copies, tell, jobs=jobs)
    say(f"{report.objects} objects, {human(report.bytes)} copied; {len(report.points)} points whole everywhere")
    for note in report.notes:
        say(f"note: {note}")
    for problem in report.problems:
        say(f"not copied: {problem}")
    for url, why in report.left_behind.items():
        say(f"left behind: {url}: {why}")
    if as_json and report.ok:
        print_json(asdict(report))
    report.raise_for_problems()
