"""Brings configuration back: manifests, environment files, as they were taken."""

from __future__ import annotations

from pathlib import Path

from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.restoring import RestoreSummary


def restore_configuration(reader: VaultReader, point: Point, destination: Path, *, source: str) -> RestoreSummary:
    """Restore a point's configuration into an empty folder that only we may enter; secrets are in it.

    Args:
        reader: The vault.
        point: Which point.
        destination: A folder that is empty or does not exist.
        source: Name of the configuration inside the point: `environment`, `manifests`, `kubernetes`.

    Raises:
        NotThere: The point holds no such source.
        UnsafeTarget: The folder is not empty.
        IntegrityError: Something is missing or not genuine.
    """
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    summary = reader.restore(point, source, destination)
    destination.chmod(0o700)
    return summary
