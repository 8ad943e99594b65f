"""Reads points back whole: every object from every store, every chunk opened, every file hashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coffer.errors import CofferError, IntegrityError, NotThere
from coffer.vault import extents, names, tree_reading, wal
from coffer.vault.chunk_index import Location
from coffer.vault.chunk_reader import ChunkReader
from coffer.vault.chunk_usage import used_chunks
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.points import Manifest, Point
from coffer.vault.stores.protocol import Store
from coffer.vault.trees import TreeEntry
from coffer.vault.verification import VerifyReport

if TYPE_CHECKING:
    from coffer.vault.reader import VaultReader


class ReadingBack:
    """One verification with an identity; each object of each store is read once."""

    def __init__(self, reader: VaultReader, progress: Callable[[int, int], None] | None) -> None:
        self._access = reader.access()
        self._reader = reader
        self._progress = progress
        self._report = VerifyReport(opened=True)
        self._total = 0
        self._proven: dict[tuple[str, str], bool] = {}
        self._chunks_proven: set[tuple[str, bytes]] = set()

    def run(self, chosen: Sequence[Point] | None) -> VerifyReport:
        """Verify the chosen points, or all of them and all WAL."""
        manifests = self._manifests(chosen)
        self._total = sum(source.size for manifest in manifests for source in manifest.sources)
        for manifest in manifests:
            before = len(self._report.problems)
            self._verify_point(manifest)
            if len(self._report.problems) == before:
                self._report.points.append(manifest.name)
        if chosen is None:
            self._verify_wal()
        return self._report

    def _manifests(self, chosen: Sequence[Point] | None) -> list[Manifest]:
        catalogue = self._access.catalogue
        if chosen is not None:
            return [catalogue.find(point.name, point.service).manifest for point in chosen]
        broken = catalogue.broken()
        for name, error in broken.items():
            self._report.add("", name, "not genuine", str(error))
        return [each.manifest for each in catalogue.all(without=set(broken))]

    def _verify_point(self, manifest: Manifest) -> None:
        stores = [store for store in self._access.stores.stores if self._holds(store, manifest)]
        for store in stores:
            for name in (
                manifest.listing,
                *manifest.index,
                *(tree for source in manifest.sources for tree in source.trees),
            ):
                self._prove(store, name)
        try:
            self._verify_content(manifest, stores)
        except CofferError as error:
            self._report.add("", manifest.name, "not genuine", str(error))

    def _verify_content(self, manifest: Manifest, stores: Sequence[Store]) -> None:
        access = self._access
        numbers = ChunkNumbers()
        locations = tree_reading.read_locations(access.stores, access.keys, manifest)
        reader = ChunkReader(access.stores, access.keys, locations, access.run_key)
        files = [
            entry
            for source in manifest.sources
            for entry in tree_reading.read_entries(access.stores, access.keys, source, numbers)
        ]
        by_pack: dict[str, list[bytes]] = {}
        for chunk in used_chunks([files], numbers):
            by_pack.setdefault(reader.locate(chunk).pack.name, []).append(chunk)
        for pack, chunks in sorted(by_pack.items()):
            for store in stores:
                self._verify_pack(store, pack, chunks, reader)
        for entry in files:
            _check_extents(entry, numbers, locations)

    def _verify_pack(self, store: Store, pack: str, chunks: Sequence[bytes], reader: ChunkReader) -> None:
        missing = [chunk for chunk in chunks if (store.url, chunk) not in self._chunks_proven]
        if not missing and (store.url, pack) in self._proven:
            return
        data = self._prove(store, pack)
        if data is None:
            return
        for chunk in missing:
            place = reader.locate(chunk)
            try:
                reader.open(chunk, place, data[place.offset : place.offset + place.sealed])
            except CofferError as error:
                self._report.add(store.url, pack, "not genuine", str(error))
            self._chunks_proven.add((store.url, chunk))

    def _verify_wal(self) -> None:
        access = self._access
        for name, stores in access.stores.where(f"{names.WAL}/").items():
            for store in stores:
                data = self._prove(store, name)
                if data is None:
                    continue
                try:
                    wal.content(data, name, access.keys, access.configuration, access.wal_run_key)
                except CofferError as error:
                    self._report.add(store.url, name, "not genuine", str(error))

    def _holds(self, store: Store, manifest: Manifest) -> bool:
        prefix = f"{names.POINTS}/{manifest.service}/{manifest.name}/"
        try:
            found = [info.name for info in store.list(prefix)]
        except CofferError as error:
            self._report.add(store.url, prefix, "unreadable", str(error))
            return False
        for name in found:
            self._prove(store, name)
        if not found:
            self._report.add(store.url, prefix, "missing", "another store has it")
        return bool(found)

    def _prove(self, store: Store, name: str) -> bytes | None:
        """Read an object from one store and compare it with its name; None if it is not what was written."""
        self._report.objects += 1
        try:
            data = store.get(name)
            names.check(name, data)
        except CofferError as error:
            kinds = {NotThere: "missing", IntegrityError: "damaged"}
            self._report.add(store.url, name, kinds.get(type(error), "unreadable"), str(error))
            return None
        finally:
            self._proven[store.url, name] = True
        self._report.bytes += len(data)
        if self._progress:
            self._progress(self._report.bytes, max(self._total, self._report.bytes))
        return data


def _check_extents(entry: TreeEntry, numbers: ChunkNumbers, locations: dict[bytes, Location]) -> None:
    """Make sure that a file's page map stays inside its chunks; their content is proven."""
    for chunk, offset, length in extents.from_bytes(entry.extents).tolist():
        if chunk != extents.HOLE and offset + length > locations[numbers.id(chunk)].size:
            raise IntegrityError("A file's page map reaches beyond its chunk", detail=repr(entry.path))
