"""Peak memory for ever larger inputs: it should depend on none of them."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.vault.measuring import Command, drop_caches, measure, run
from bench.vault.tools import Address, Coffer
from bench.vault.works import Work

_TIMEOUT = 7200
_ALLOWED = 0.10
EXPLANATION = (
    "Files of 64 MiB, half random, generated in the process that backs them up. For the backup no block repeats, and "
    "each pack is emptied once it is written and durable (everything else is real). For the rest the content "
    "begins again after {unique}, so that a store of that size holds any amount; the restore writes all of it to disk."
)


@dataclass(frozen=True)
class Memory:
    """One row: a work at one size.

    Attributes:
        work: What was done.
        sizes: Bytes of input.
        peaks: Peak memory at each, bytes.
        seconds: Wall clock of each.
    """

    HEAD: ClassVar[tuple[str, ...]] = ("work", "input GiB", "peak MiB", "from the middle", "± 10 %", "seconds")

    work: str
    sizes: list[int]
    peaks: list[int]
    seconds: list[float]

    @property
    def deviation(self) -> float:
        """Return how far the farthest peak is from the median, as a share."""
        middle = statistics.median(self.peaks)
        return max(abs(peak - middle) for peak in self.peaks) / middle

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells."""
        return (
            self.work,
            ", ".join(f"{size / (1 << 30):.3g}" for size in self.sizes),
            ", ".join(f"{peak / (1 << 20):.0f}" for peak in self.peaks),
            f"{self.deviation:.1%}",
            "met" if self.deviation <= _ALLOWED else "missed",
            ", ".join(f"{each:.0f}" for each in self.seconds),
        )


def measure_memory(
    folder: Path, sizes: Sequence[int], *, unique: int, backup: bool, restore: bool, tell: Callable[[str], None]
) -> list[Memory]:
    """Measure a backup at every size, and what reads it back.

    Args:
        folder: Scratch folder; with `restore` it needs the largest size and `unique` on disk.
        sizes: Bytes of input.
        unique: Bytes after which the content of what is restored begins again.
        backup: Measure the backup of content that never repeats.
        restore: Restore and verify.
        tell: Takes a line after each measurement.
    """
    rows = []
    if backup:
        costs_of_backup = [_backup(folder / "hollow", size, size, hollow=True) for size in sizes]
        rows.append(_row("backup", sizes, costs_of_backup, tell))
    if restore:
        works = (Work.RESTORE, Work.VERIFY, Work.OPEN)
        costs: dict[Work, list[tuple[int, float]]] = {work: [] for work in works}
        for size in sizes:
            _backup(folder / "real", size, unique, hollow=False, keep=True)
            for work in works:
                costs[work].append(_read_back(folder / "real", work))
            shutil.rmtree(folder / "real")
        rows += [_row(work.label, sizes, costs[work], tell) for work in works]
    return rows


def as_document(rows: Sequence[Memory], header: dict[str, Any], unique: int) -> dict[str, Any]:
    """Return the rows as the JSON document of a run."""
    explanation = EXPLANATION.format(unique=f"{unique / (1 << 30):.3g} GiB")
    return {**header, "explanation": explanation, "memory": [asdict(row) for row in rows]}


def _row(name: str, sizes: Sequence[int], costs: Sequence[tuple[int, float]], tell: Callable[[str], None]) -> Memory:
    row = Memory(name, list(sizes), [peak for peak, _ in costs], [seconds for _, seconds in costs])
    tell("  ".join(row.cells()))
    return row


def _backup(folder: Path, size: int, unique: int, *, hollow: bool, keep: bool = False) -> tuple[int, float]:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "store").mkdir(parents=True)
    for command in Coffer("").create(folder, _address(folder)):
        run(command)
    words = ["--store", str(folder / "store"), "--writer", str(folder / "writer"), "--size", str(size)]
    argv = [sys.executable, "-m", "bench.vault.generated", *words, "--unique", str(unique)]
    cost = measure(Command(argv + ["--hollow"] * hollow), timeout=_TIMEOUT)
    if not keep:
        shutil.rmtree(folder)
    return cost.peak, cost.seconds


def _read_back(folder: Path, work: Work) -> tuple[int, float]:
    drop_caches()
    target = folder / "target"
    command = Coffer("").command(work, folder, _address(folder), folder, target)
    cost = measure(command, timeout=_TIMEOUT)
    shutil.rmtree(target, ignore_errors=True)
    return cost.peak, cost.seconds


def _address(folder: Path) -> Address:
    return Address(f"file://{folder / 'store'}", str(folder / "store"), {})
