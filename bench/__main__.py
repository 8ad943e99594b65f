"""`make bench`: how fast the vault takes, proves and gives back files. Prints medians with the spread."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.keys.identity import public_path
from coffer.sources.files import FilesSource
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter

_BLOCK = 1 << 20


def main() -> None:
    """Measure on half-random files in a scratch folder."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    results: dict[str, list[float]] = {}
    for _ in range(options.repeat):
        with tempfile.TemporaryDirectory(prefix="coffer-bench-") as folder:
            _round(Path(folder), options.mebibytes, results)
    _print(options.mebibytes, results)


def _round(folder: Path, mebibytes: int, results: dict[str, list[float]]) -> None:
    source, place = folder / "source", folder / "store"
    source.mkdir()
    place.mkdir()
    _fill(source, mebibytes)
    generate_identity(folder / "identity")
    stores: list[Store] = [open_store(f"file://{place}")]
    create_vault(stores, [Recipient.load(public_path(folder / "identity"))], folder / "writer")
    reader = folder / "back"

    def timed(name: str, act: Callable[[], object]) -> None:
        began = time.monotonic()
        act()
        os.sync()
        results.setdefault(name, []).append(time.monotonic() - began)

    timed("first backup", lambda: _back_up(stores, folder / "writer", source, Kind.FULL))
    timed("nothing changed", lambda: _back_up(stores, folder / "writer", source, Kind.INCREMENTAL))
    timed("verify at rest", lambda: verify_at_rest(stores).raise_for_problems())
    timed("restore", lambda: _restore(stores, folder / "identity", reader))


def _fill(source: Path, mebibytes: int) -> None:
    for number in range(mebibytes // 8):
        with (source / f"file-{number}").open("wb") as stream:
            for _ in range(8):
                stream.write(os.urandom(_BLOCK // 2) + bytes(_BLOCK // 2))


def _back_up(stores: list[Store], credentials: Path, source: Path, kind: Kind) -> None:
    writer = VaultWriter.open(stores, WriterCredentials.load(credentials))
    with writer.begin_point(service="bench", kind=kind, started=datetime.now(UTC)) as point:
        point.capture(FilesSource("files", source))
        point.commit({})


def _restore(stores: list[Store], identity: Path, target: Path) -> None:
    reader = VaultReader.open(stores, Identity.load(identity))
    reader.restore(reader.point("latest"), "files", target)


def _print(mebibytes: int, results: dict[str, list[float]]) -> None:
    table = Table(title=f"{mebibytes} MiB, half random, file store, sync inside the timer")
    for column in ("work", "median s", "min-max s", "MiB/s"):
        table.add_column(column)
    for name, seconds in results.items():
        middle = statistics.median(seconds)
        table.add_row(name, f"{middle:.2f}", f"{min(seconds):.2f}-{max(seconds):.2f}", f"{mebibytes / middle:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
