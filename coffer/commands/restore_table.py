"""The part of `coffer restore` that brings back one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import Progress, print_json, say

if TYPE_CHECKING:
    from coffer.recovery.target import RestoreTarget
    from coffer.vault.points import Point
    from coffer.vault.reader import VaultReader


def restore_one_table(
    reader: VaultReader,
    point: Point,
    source: str,
    target: RestoreTarget | None,
    table: str,
    destination: Path,
    *,
    database: str | None,
    scratch: Path | None,
    programs: Path | None,
    progress: Progress | None,
    as_json: bool,
) -> None:
    """Restore a table and say what to do with it; raises as `recovery.table_restore.restore_table` does."""
    from coffer.recovery.table_restore import restore_table
    from coffer.recovery.target import RestoreTarget
    from coffer.sources.postgres.programs import Programs

    found = restore_table(
        reader,
        point,
        target or RestoreTarget(),
        table,
        destination,
        source=source,
        database=database,
        scratch=scratch,
        installation=Programs(programs) if programs else None,
        progress=progress,
    )
    moment = target or RestoreTarget()
    say(f"{table} of database {found.database} at {moment}, from point {point.name}: {found.rows} rows")
    say(f"bring it in with: pg_restore --dbname … {found.dump}")
    for each in found.beside:
        say(f"note: not in the file: {each}")
    document = {
        "point": point.name,
        "source": source,
        "table": table,
        "database": found.database,
        "file": str(found.dump),
        "rows": found.rows,
        "beside": list(found.beside),
    }
    print_json(document) if as_json else click.echo(str(found.dump))
