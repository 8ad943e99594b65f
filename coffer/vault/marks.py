"""Marks: names of objects that a prune wants to sweep. They wait, so that whoever might share one sees it first.

A mark is not signed and need not be: it removes nothing. What is swept was marked long enough ago by the store's own
clock, which nobody can back-date, and is needed by no point then. Who forges a mark makes writers store things anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from coffer.errors import HeldByAnother, IntegrityError, NotThere, UsageError
from coffer.vault import frames, names, points
from coffer.vault.frames import ObjectKind
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import ObjectInfo, Store

PREFIX = f"{names.MARKS}/"


class MarkRecord(msgspec.Struct, frozen=True):
    """What a mark says."""

    vault: bytes
    created_ns: int
    names: list[str]


@dataclass(frozen=True)
class Mark:
    """A mark as a prune finds it.

    Attributes:
        name: Its name.
        data: Its bytes.
        names: What it names.
        lacking: Stores that do not have it yet: until they do, it counts nowhere.
        ripe_at: When, by the clock of the store that got it last, its names may go.
        ripe: Whether that time has come.
    """

    name: str
    data: bytes = field(repr=False)
    names: frozenset[str]
    lacking: tuple[Store, ...]
    ripe_at: datetime
    ripe: bool


def seal(vault: bytes, wanted: Iterable[str], now: datetime) -> tuple[str, bytes]:
    """Return name and bytes of a mark."""
    record = MarkRecord(vault, points.to_ns(now), sorted(wanted))
    data = frames.header(ObjectKind.MARK) + frames.compress(frames.encode(record))
    return names.name_of(names.MARKS, names.new_id(), data), data


def open_mark(vault: bytes, name: str, data: bytes) -> frozenset[str]:
    """Return what a mark names.

    Raises:
        IntegrityError: It is none, or of another vault.
    """
    names.check(name, data)
    frames.check_header(ObjectKind.MARK, data, name)
    record = frames.decode(frames.decompress(data[frames.HEADER_SIZE :], name), MarkRecord, name)
    if record.vault != vault:
        raise IntegrityError("A mark is of another vault", detail=name)
    return frozenset(record.names)


def read_all(stores: StoreSet, vault: bytes, known: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return what every mark that is in any store names, for a writer.

    Args:
        stores: Where to look; a store that is away is passed over: a mark counts only once every store has it.
        vault: The vault's id.
        known: Marks that were read before; marks never change.

    Raises:
        IntegrityError: A mark does not read anywhere: nobody knows what it names.
        HeldByAnother: A mark is gone since it was listed: a prune is just sweeping.
        Unreachable: No store answers.
    """
    found: dict[str, frozenset[str]] = {}
    for name in stores.names(PREFIX):
        try:
            found[name] = known[name] if name in known else open_mark(vault, name, stores.read(name))
        except NotThere as error:
            raise HeldByAnother("A prune is sweeping", detail=name, resolution="Run it again") from error
    return found


def find(
    stores: StoreSet,
    vault: bytes,
    contents: Mapping[str, Mapping[str, ObjectInfo]],
    clocks: Mapping[str, datetime],
    grace: timedelta,
) -> tuple[list[Mark], list[str]]:
    """Return the marks, for a prune, and the names of those that do not read anywhere.

    Args:
        stores: All stores.
        vault: The vault's id.
        contents: What each store holds, by address and name.
        clocks: The time by each store's clock.
        grace: How long a mark stands.

    Raises:
        Unreachable: No store that has a mark answers.
    """
    found: list[Mark] = []
    unreadable: list[str] = []
    for name in sorted({name for listing in contents.values() for name in listing if name.startswith(PREFIX)}):
        try:
            data = stores.read(name)
            wanted = open_mark(vault, name, data)
        except NotThere:
            continue  # another prune removed it since it was listed
        except (IntegrityError, UsageError):
            unreadable.append(name)
            continue
        found.append(_weigh(name, data, wanted, stores.stores, contents, clocks, grace))
    return found, unreadable


def _weigh(
    name: str,
    data: bytes,
    wanted: frozenset[str],
    stores: Sequence[Store],
    contents: Mapping[str, Mapping[str, ObjectInfo]],
    clocks: Mapping[str, datetime],
    grace: timedelta,
) -> Mark:
    lacking = tuple(store for store in stores if name not in contents[store.url])
    ripe_at = {url: listing[name].modified + grace for url, listing in contents.items() if name in listing}
    ripe = not lacking and all(clocks[url] >= at for url, at in ripe_at.items())
    return Mark(name, data, wanted, lacking, max(ripe_at.values()), ripe)
