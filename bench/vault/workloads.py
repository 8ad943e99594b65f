"""What is backed up: trees of files made from a seed, and what changes in them by one percent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Size:
    """How much a workload holds.

    Attributes:
        files: Number of files.
        bytes: Their bytes.
    """

    files: int
    bytes: int


class Workload(Protocol):
    """A tree that can be made and changed."""

    @property
    def name(self) -> str:
        """Its name in options and tables."""
        ...

    def describe(self) -> str:
        """Say in a sentence what it holds and what a change is."""
        ...

    def make(self, folder: Path) -> None:
        """Fill a folder that does not exist."""
        ...

    def change(self, folder: Path, generation: int) -> Size:
        """Change about one percent; another generation changes other places. Returns what was touched."""
        ...


def measure_tree(folder: Path) -> Size:
    """Count a tree's files and bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Size(len(sizes), sum(sizes))
