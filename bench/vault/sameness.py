"""A restore that is fast and wrong counts for nothing: the first of every tool is compared with the source."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path

from coffer.errors import StepFailed


def check_same(source: Path, restored: Path) -> None:
    """Compare names, kinds, modes, file times and every byte.

    Raises:
        StepFailed: They differ.
    """
    if differences := [text for text, _ in zip(_differences(source, restored), range(3), strict=False)]:
        raise StepFailed("The restored tree is not the source's", detail="; ".join(differences))


def _differences(source: Path, restored: Path) -> Iterator[str]:
    here, there = _names(source), _names(restored)
    for name in sorted(here ^ there):
        yield f"{name} is only in the {'source' if name in here else 'restored tree'}"
    for name in sorted(here & there):
        one, other = source / name, restored / name
        before, after = one.lstat(), other.lstat()
        if before.st_mode != after.st_mode:
            yield f"{name} has another kind or mode"
        elif one.is_file() and before.st_mtime_ns != after.st_mtime_ns:
            yield f"{name} has another time"
        elif one.is_file() and not filecmp.cmp(one, other, shallow=False):
            yield f"{name} has another content"
    filecmp.clear_cache()


def _names(folder: Path) -> set[str]:
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        found.update(os.path.relpath(Path(place) / name, folder) for name in (*folders, *files))
    return found
