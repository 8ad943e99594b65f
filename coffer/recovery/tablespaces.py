"""Tablespaces come back outside the data folder, each under its OID, with a link to it."""

from __future__ import annotations

from pathlib import Path

from coffer.errors import IntegrityError, NotThere
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader

TABLESPACES = b"pg_tblspc/"


def restore_tablespace(
    reader: VaultReader, point: Point, source: str, data: Path, place: Path, *, delta: bool = False
) -> None:
    """Restore one tablespace outside and link to it, as CREATE TABLESPACE does.

    Args:
        reader: The vault.
        point: Where it comes from.
        source: The cluster's name inside the point.
        data: The data folder.
        place: Where the tablespace goes; its name is the OID.
        delta: It may be there already: what matches stays.

    Raises:
        IntegrityError: The point lacks it.
    """
    prefix = TABLESPACES + place.name.encode() + b"/"
    staging = place.with_name(f".{place.name}.restoring")
    inside = staging / prefix.decode()
    if delta and place.exists():  # else it is not there, or an interrupted run has moved it
        inside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.rename(inside)
    try:
        reader.restore(point, source, staging, include=lambda path: path.startswith(prefix), delta=delta)
    except NotThere as error:
        raise IntegrityError("a tablespace is missing in the point", detail=place.name) from error
    if inside.exists():
        inside.rename(place)
    else:
        place.mkdir(mode=0o700, parents=True)
    if inside.parent.exists():
        inside.parent.rmdir()
    staging.rmdir()
    link = data / "pg_tblspc" / place.name
    link.unlink(missing_ok=True)
    link.symlink_to(place)
