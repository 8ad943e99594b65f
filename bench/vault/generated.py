"""Backs up files that exist nowhere: as many bytes as wanted, from memory, to see whether memory stays bounded.

Run as a program of its own, so that its peak is a backup's and nothing else's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from coffer.keys import WriterCredentials
from coffer.vault import names
from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.protocol import Buffer
from coffer.vault.writer import VaultWriter

_BLOCK = 1 << 20
_FILE_BLOCKS = 64


class HollowStore(FileStore):
    """A file store that empties each pack once it is durable: the time it takes is real, the room is not."""

    def put(self, name: str, data: Buffer) -> None:
        super().put(name, data)
        if name.startswith(f"{names.PACKS}/"):
            os.truncate(self.root / name, 0)
            os.truncate(self.root / name, len(data))


class GeneratedSource:
    """Files of 64 MiB, half of each block random, no block like another before `unique` bytes are through.

    Args:
        size: Bytes of all files.
        unique: After so many bytes the content begins again.
    """

    name = "generated"
    kind = "files"

    def __init__(self, size: int, unique: int) -> None:
        self._blocks = size // _BLOCK
        self._unique = max(1, unique // _BLOCK)
        self._pattern = np.frombuffer(np.random.default_rng(1).bytes(_BLOCK), dtype=np.uint64)

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        for first in range(0, self._blocks, _FILE_BLOCKS):
            last = min(first + _FILE_BLOCKS, self._blocks)
            sink.add_file(Entry(f"file-{first:08}".encode()), self._content(first, last))
        return {"kind": Kind.FULL.value}

    def _content(self, first: int, last: int) -> Iterator[Buffer]:
        half = len(self._pattern) // 2
        for number in range(first, last):
            # Odd, so that the product never repeats within 2^63 blocks; every word of the block differs.
            words = self._pattern * np.uint64(2 * (number % self._unique) + 1)
            words[half:] &= np.uint64(0xFF)
            yield words.tobytes()


@click.command()
@click.option("--store", type=click.Path(path_type=Path), required=True)
@click.option("--writer", type=click.Path(path_type=Path), required=True)
@click.option("--size", type=int, required=True)
@click.option("--unique", type=int, required=True)
@click.option("--hollow", is_flag=True)
def main(store: Path, writer: Path, size: int, unique: int, hollow: bool) -> None:
    """Take one full point of generated files."""
    place = HollowStore(store) if hollow else FileStore(store)
    vault = VaultWriter.open([place], WriterCredentials.load(writer))
    with vault.begin_point(service="bench", kind=Kind.FULL, started=datetime.now(UTC)) as point:
        point.capture(GeneratedSource(size, unique))
        point.commit({})


if __name__ == "__main__":
    main()
