"""What must be true of a vault at every moment, seen from the stores themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from coffer.keys import Identity, WriterCredentials
from coffer.vault import frames
from coffer.vault.configuration import Configuration
from coffer.vault.points import ObjectList
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.writer import VaultWriter
from tests.soak.source import Files

PRUNED = ("packs/", "trees/", "index/", "keys/run-", "lists/", "points/")
"""Prefixes below which nothing stays that no point needs."""


class Broken(AssertionError):
    """A promise that was not kept."""


def manifests(store: MemoryStore) -> set[str]:
    """Return the names of the points that a store has."""
    return {name for name in list(store.objects) if name.startswith("points/")}


def check_whole(store: MemoryStore, lists: dict[str, ObjectList]) -> None:
    """Make sure that a store holds, by itself, all that each of its points names.

    Args:
        store: The store.
        lists: Those that were read before, by name; kept for the next time.
    """
    present = dict(store.objects)
    places = {name.rpartition("/")[0] for name in present}
    listings = {name.rpartition("/")[0]: name for name in present if name.startswith("lists/")}
    for manifest in manifests(store):
        place = manifest.rpartition("/")[0].replace("points/", "lists/", 1)
        if place not in listings:
            raise Broken(f"{manifest} has no list in {store.url}")
        listing = _read(listings[place], present, lists)
        for name, size in listing.objects:
            if name.startswith("keys/"):
                if name.rpartition("/")[0] not in places:
                    raise Broken(f"{manifest} lacks its key {name} in {store.url}")
            elif name not in present or len(present[name]) != size:
                raise Broken(f"{manifest} lacks {name} in {store.url}")


def left_over(stores: Sequence[MemoryStore], lists: dict[str, ObjectList]) -> set[str]:
    """Return the objects that no point of any store needs; keys count by whose they are."""
    present = {name: data for store in stores for name, data in store.objects.items()}
    needed = {name for name in present if name.startswith("points/")}
    places = {_place_of(name) for name in needed}
    for name in present:
        if name.startswith("lists/") and _place_of(name) in places:
            needed |= {name, *(each for each, _ in _read(name, present, lists).objects)}
    keys = {name.rpartition("/")[0] for name in needed if name.startswith("keys/")}
    mine = {name for name in present if name.startswith(PRUNED)} - needed
    return {name for name in mine if name.rpartition("/")[0] not in keys}


def _place_of(name: str) -> str:
    return name.partition("/")[2].rpartition("/")[0]


def recipients(stores: Sequence[MemoryStore]) -> frozenset[str]:
    """Return the fingerprints of those who may read, by the newest configuration that any store has."""
    newest = max((name, data) for store in stores for name, data in store.objects.items() if name.startswith("config/"))
    return _recipients(newest[1])


@lru_cache(1024)
def _recipients(data: bytes) -> frozenset[str]:
    configuration = msgspec.msgpack.decode(data[frames.SIGNED_SIZE :], type=Configuration)
    return frozenset(each.fingerprint.hex() for each in configuration.recipients)


def labels(stores: Sequence[MemoryStore], writer: WriterCredentials) -> dict[str, int]:
    """Return which capture each point holds, by the name of its manifest."""
    known = VaultWriter.open(stores, writer).points()
    return {point.object_name: int(str(point.sources[0].facts["label"])) for point in known}


def check_wal(store: MemoryStore, identity: Identity, expected: Mapping[str, tuple[bytes, datetime]]) -> None:
    """Make sure that every WAL file that a store has is what was put."""
    reader = VaultReader.open([store], identity)
    clusters = {name.split("/")[1] for name in store.objects if name.startswith("wal/")}
    for cluster in clusters:
        for segment in reader.wal_names(cluster):
            if segment in expected and reader.get_wal(cluster, segment) != expected[segment][0]:
                raise Broken(f"WAL {segment} is another one")


def check_restores(store: MemoryStore, identity: Identity, expected: Mapping[str, Files], folder: Path) -> None:
    """Restore every point of one store and compare it with the model, byte for byte."""
    reader = VaultReader.open([store], identity)
    for point in reader.points():
        with tempfile.TemporaryDirectory(dir=folder) as target:
            reader.restore(point, "files", Path(target))
            if read_tree(Path(target)) != expected[point.object_name]:
                raise Broken(f"{point.name} gives back something else from {store.url}")


def read_tree(folder: Path) -> dict[bytes, bytes]:
    """Return the files below a folder."""
    root = bytes(folder)
    return {bytes(path)[len(root) + 1 :]: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _read(name: str, present: Mapping[str, bytes], lists: dict[str, ObjectList]) -> ObjectList:
    if name not in lists:
        body = frames.decompress(present[name][frames.SIGNED_SIZE :], name)
        lists[name] = msgspec.msgpack.decode(body, type=ObjectList)
    return lists[name]
