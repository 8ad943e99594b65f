"""Proof that bytes are what was written: at rest by names alone, or read back, opened and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from coffer.errors import CofferError, IntegrityError, NotThere, NoVault
from coffer.vault import names
from coffer.vault.completeness import Completeness
from coffer.vault.pack_check import Found
from coffer.vault.read_ahead import ahead
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.file import FolderMissing
from coffer.vault.stores.protocol import ObjectInfo, Store
from coffer.vault.verify_report import Problem, VerifyReport

if TYPE_CHECKING:
    from coffer.vault.points import Point
    from coffer.vault.reader import VaultReader

__all__ = ["Problem", "VerifyReport", "verify_at_rest", "verify_points"]
_PIECE = 4 << 20
_THREADS = 4
"""Two hash, the others wait for stores."""
Progress = Callable[[int, int], None]


def verify_at_rest(stores: Sequence[Store], progress: Progress | None = None) -> VerifyReport:
    """Compare every object of every store with its name, and every point's list with what is there. Needs no key.

    Args:
        stores: The stores; what one has and another lacks is a problem of the other.
        progress: Called with bytes done and bytes in all.

    Raises:
        NoVault: There is no vault.
        Unreachable: A store does not answer: nothing is known about it then.
    """
    together = StoreSet(stores)
    report = VerifyReport()
    contents = _contents(together)
    total = sum(info.size for listing in contents.values() for info in listing.values())
    for found in ahead(_check_at_rest, _in_turn(stores, contents), threads=max(_THREADS, 2 * len(stores))):
        report.objects += 1
        report.bytes += found.size
        for what, detail in found.problems:
            report.add(found.store, found.name, what, detail)
        if progress:
            progress(report.bytes, total)
    for store in stores:
        for name in store.hidden():
            report.add(store.url, name, "hidden", "a delete marker stands over it: someone tampered with the store")
    Completeness(together, contents, report).check()
    return report


def verify_points(
    reader: VaultReader,
    chosen: Sequence[Point] | None,
    progress: Progress | None,
    left_out: Collection[str] = frozenset(),
) -> VerifyReport:
    """Do what `VaultReader.verify` promises."""
    from coffer.vault.reading_back import ReadingBack

    return ReadingBack(reader, progress, left_out).run(chosen)


def sha256_of(store: Store, name: str, size: int) -> tuple[bytes, int]:
    """Return an object's SHA-256 and size as read, in pieces: memory does not grow with the object."""
    digest, done = hashlib.sha256(), 0
    while done < size:
        piece = store.get(name, done, _PIECE)
        if not piece:
            break
        digest.update(piece)
        done += len(piece)
    return digest.digest(), done


def _contents(stores: StoreSet) -> dict[str, dict[str, ObjectInfo]]:
    try:
        contents = {store.url: {info.name: info for info in store.list()} for store in stores.stores}
    except FolderMissing as error:
        if len(stores.stores) > 1:
            raise
        raise NoVault("There is no vault there", detail=error.detail, resolution="Is it mounted?") from error
    if not any(contents.values()):
        raise NoVault("There is no vault there", detail=stores.describe())
    return contents


def _in_turn(
    stores: Sequence[Store], contents: Mapping[str, Mapping[str, ObjectInfo]]
) -> Iterator[tuple[Store, ObjectInfo]]:
    """Yield objects of each store in turn, so that all of them are read at a time."""
    columns = [[(store, info) for info in contents[store.url].values()] for store in stores]
    for row in zip_longest(*columns):
        yield from (each for each in row if each is not None)


def _check_at_rest(reading: tuple[Store, ObjectInfo]) -> Found:
    store, info = reading
    found = Found(store.url, info.name)
    try:
        wanted = names.ObjectName.parse(info.name).sha256
    except IntegrityError:
        found.problems.append(("stray", "no object of a vault is called so"))
        return found
    try:
        digest, found.size = sha256_of(store, info.name, info.size)
    except CofferError as error:
        found.problems.append(("missing" if isinstance(error, NotThere) else "unreadable", str(error)))
        return found
    if digest != wanted:
        found.problems.append(("damaged", "its SHA-256 differs from its name"))
    return found
