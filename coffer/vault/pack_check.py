"""One pack of one store read once, piece by piece: its bytes compared with its name, its chunks opened and proven."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coffer.errors import CofferError, IntegrityError
from coffer.vault import names
from coffer.vault.stores.protocol import Store
from coffer.vault.verify_report import what_is_wrong

if TYPE_CHECKING:
    from coffer.vault.chunk_index import Location, PackRecord

_PIECE = 4 << 20
Wanted = Sequence[tuple[bytes, "Location"]]
"""Chunks of a pack, by offset: id and place."""
Open = Callable[[bytes, "Location", memoryview], object]


@dataclass
class Found:
    """What reading an object of a store showed.

    Attributes:
        store: The store's address.
        name: The object's name.
        size: Bytes read.
        problems: What is wrong with it: a word of `Problem.what`, and more about it.
    """

    store: str
    name: str
    size: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


def check_pack(store: Store, pack: PackRecord, wanted: Wanted, opened: Open) -> Found:
    """Read a pack and prove it.

    Args:
        store: Where from.
        pack: The pack.
        wanted: The chunks to open.
        opened: Opens a chunk and proves it; raises IntegrityError.
    """
    found = Found(store.url, pack.name)
    digest = hashlib.sha256()
    strange: list[tuple[str, str]] = []
    try:
        for begin, length, chunks in _pieces(pack.size, wanted):
            data = memoryview(store.get(pack.name, begin, length))
            digest.update(data)
            found.size += data.nbytes
            for chunk, place in chunks:
                try:
                    opened(chunk, place, data[place.offset - begin : place.offset - begin + place.sealed])
                except IntegrityError as error:
                    strange.append(("not genuine", str(error)))
            if data.nbytes < length:
                break
    except CofferError as error:
        found.problems.append(problem(error))
        return found
    if digest.digest() != names.ObjectName.parse(pack.name).sha256:
        found.problems.append(("damaged", "its SHA-256 differs from its name"))
    else:
        found.problems += strange
    return found


def problem(error: CofferError) -> tuple[str, str]:
    """Return how a failed reading is reported."""
    what = "damaged" if isinstance(error, IntegrityError) else what_is_wrong(error)
    return what, str(error)


def _pieces(size: int, wanted: Wanted) -> Iterator[tuple[int, int, Wanted]]:
    """Cut a pack into pieces of a few MiB, through no wanted chunk; the last one asks for a byte more than there is."""
    begin = end = 0
    inside: list[tuple[bytes, Location]] = []
    for chunk, place in wanted:
        while place.offset - begin >= _PIECE:  # all that is inside ends before this chunk
            end = max(end, min(begin + _PIECE, place.offset))
            yield begin, end - begin, inside
            inside, begin = [], end
        inside.append((chunk, place))
        end = place.offset + place.sealed
    while size + 1 - begin > max(_PIECE, end - begin):
        end = max(end, begin + _PIECE)
        yield begin, end - begin, inside
        inside, begin = [], end
    yield begin, size + 1 - begin, inside
