"""Brings the files back that belong to a moment: a point's, and every file shipped by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from coffer.errors import IntegrityError, UnsafeTarget
from coffer.recovery.shipped_files import ShippedFiles
from coffer.recovery.target import RestoreTarget, TargetKind, choose_files
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader
from coffer.vault.restoring import RestoreSummary

_MARGIN = timedelta(hours=1)
"""Shipments so much older than a point are looked at too: what a point has already is not written twice."""


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

    The first point after the moment holds all files that were there then; where there is none yet, the newest one and
    what was shipped since. What was shipped by the moment is there in either case.

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
        What was done; None where no point holds the source, and nothing was shipped.

    Raises:
        UnsafeTarget: The folder is not empty.
        IntegrityError: Something is missing or not genuine.
    """
    known = list(points)
    chosen = choose_files(known, source, target, point)
    shipped = _shipped(reader, known, source, target, point, service)
    if chosen is None and not shipped.wanted:
        return None
    if chosen is None:
        _make(destination)
        summary = RestoreSummary(0, 0, 0, 0, 0.0)
    else:
        summary = reader.restore(chosen, source, destination, progress=progress)
    moment = _moment(target, point)
    is_later = chosen is not None and moment is not None and chosen.started > moment
    added = shipped.write(destination, keep_newer=not is_later)
    return replace(
        summary,
        files=summary.files + added.files,
        bytes=summary.bytes + added.bytes,
        seconds=summary.seconds + added.seconds,
    )


def files_known_until(
    reader: VaultReader, points: Iterable[Point], source: str, service: str, moment: datetime | None = None
) -> datetime | None:
    """Return up to when every file is in the vault, looked at from a moment: the age of that is the files' RPO.

    Args:
        reader: The vault.
        points: The service's points.
        source: Name of the files inside a point.
        service: Whose files.
        moment: The moment; default: now.

    Returns:
        When the newest point before the moment began, or up to when the newest shipment says that all is shipped;
        None where there is neither.
    """
    began = [each.started for each in points if each.source(source) and (moment is None or each.started <= moment)]
    since = max(began, default=None)
    shipments = reader.shipments(service, source, since, moment)
    vouched = [each.complete for each in shipments if each.complete.timestamp() > 0]
    return max([*began, *vouched], default=None)


def _shipped(
    reader: VaultReader, points: Sequence[Point], source: str, target: RestoreTarget, point: Point, service: str
) -> ShippedFiles:
    """Return what was shipped from the last point before the moment on, up to the moment."""
    holding = [each for each in points if each.source(source) is not None]
    moment = _moment(target, point)
    if target.kind is TargetKind.POINT and point in holding:
        return ShippedFiles(reader, [])
    before = [each.started for each in holding if moment is None or each.started <= moment]
    since = max(before) - _MARGIN if before else None
    return ShippedFiles(reader, reader.shipments(service, source, since, moment))


def _moment(target: RestoreTarget, point: Point) -> datetime | None:
    """Return the moment; of a position or a name of the log nobody knows when it was: then all files are wanted."""
    if target.kind is TargetKind.POINT:
        return point.finished
    return target.time


def _make(destination: Path) -> None:
    if destination.exists() and any(destination.iterdir()):
        raise UnsafeTarget("The folder to restore into is not empty", detail=str(destination))
    try:
        destination.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise IntegrityError("The folder to restore into cannot be made", detail=str(error)) from error
