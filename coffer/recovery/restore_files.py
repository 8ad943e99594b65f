"""Brings the files back that belong to a moment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from coffer.recovery.target import RestoreTarget, choose_files
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader
from coffer.vault.restoring import RestoreSummary


def restore_files(
    reader: VaultReader,
    points: Iterable[Point],
    source: str,
    target: RestoreTarget,
    point: Point,
    destination: Path,
    *,
    service: str,
    progress: Progress | None = None,
) -> RestoreSummary | None:
    """Restore every file that a row of a moment can name.

    Args:
        reader: The vault.
        points: The service's points, oldest first.
        source: Name of the files inside a point.
        target: The moment that the database is brought to.
        point: The point from which the database is brought there.
        destination: A folder that is empty or does not exist.
        service: Whose files.
        progress: Called with bytes done and bytes in all.

    Returns:
        What was done; None where no point holds the source.

    Raises:
        UnsafeTarget: The folder is not empty.
        IntegrityError: Something is missing or not genuine.
    """
    chosen = choose_files(points, source, target, point)
    if chosen is None:
        return None
    return reader.restore(chosen, source, destination, progress=progress)
