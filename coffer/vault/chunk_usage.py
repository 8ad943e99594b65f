"""Which chunks a set of files is made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from coffer.vault import extents
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.trees import TreeEntry


def used_chunks(trees: Iterable[Iterable[TreeEntry]], numbers: ChunkNumbers) -> set[bytes]:
    """Return the ids of all chunks that entries refer to."""
    every = extents.from_bytes(b"".join(entry.extents for entries in trees for entry in entries))
    used = np.unique(every["chunk"])
    return {numbers.id(number) for number in used[used != extents.HOLE].tolist()}
