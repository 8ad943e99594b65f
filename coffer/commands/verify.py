"""`coffer verify`: proof that the vault's bytes are what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from coffer.commands.options import (
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
from coffer.commands.who import Who, who_options
from coffer.errors import UsageError


@click.command()
@click.argument("names", metavar="[POINT]…", nargs=-1)
@stores_option
@credentials_option
@who_options(required=False)
@root_option
@service_option
@json_option
def verify(
    names: Sequence[str],
    urls: Sequence[str],
    credentials_file: Path | None,
    who: Who,
    root: str | None,
    service: str | None,
    as_json: bool,
) -> None:
    """Read back and compare: with an identity every byte that points need, without it every object with its name."""
    from coffer.vault.reader import VaultReader
    from coffer.vault.verification import verify_at_rest

    stores = open_stores(urls, credentials_file)
    with progress("verifying") as tell:
        if not who.named:
            if names:
                raise UsageError("Single points are verified with --identity")
            report = verify_at_rest(stores, tell)
        else:
            reader = VaultReader.open(stores, who.open(), root=root)
            chosen = [reader.point(name, service) for name in names] or None
            report = reader.verify(chosen, tell)
    how = "opened and hashed" if report.opened else "compared with their names"
    say(f"{report.objects} objects, {human(report.bytes)} {how}; {len(report.points)} points whole")
    for problem in report.problems:
        say(f"{problem.what}: {problem.object} in {problem.store or 'every store'} {problem.detail}".rstrip())
    if as_json and report.ok:
        print_json({**asdict(report), "ok": report.ok})
    report.raise_for_problems()
