"""Reads points back whole: every object of every store once, in threads; every chunk opened, every page map checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from coffer.errors import CofferError
from coffer.vault import journal, names, packs, wal
from coffer.vault.chunk_index import Location
from coffer.vault.chunk_reader import ContentKeys
from coffer.vault.needed_content import NeededContent, places
from coffer.vault.pack_check import Found, check_pack, problem
from coffer.vault.points import Manifest, Point
from coffer.vault.read_ahead import ahead
from coffer.vault.stores.protocol import Store
from coffer.vault.verify_report import VerifyReport, what_is_wrong

if TYPE_CHECKING:
    from coffer.vault.reader import VaultReader

_THREADS = 3
"""Two open and hash while a third reads."""
Reading = tuple[Store, str]


class ReadingBack:
    """One verification with an identity; each object of each store is read once."""

    def __init__(
        self,
        reader: VaultReader,
        progress: Callable[[int, int], None] | None,
        left_out: Collection[str] = frozenset(),
    ) -> None:
        self._left_out = left_out
        self._access = reader.access()
        self._content = NeededContent(self._access.keys)
        self._content_keys = ContentKeys(self._access.run_key)
        self._progress = progress
        self._report = VerifyReport(opened=True)
        self._total = 0
        self._needs: dict[str, set[str]] = {}

    def run(self, chosen: Sequence[Point] | None) -> VerifyReport:
        """Verify the chosen points, or all of them, all WAL and all shipments of files."""
        manifests = self._manifests(chosen)
        holders = self._holders(manifests)
        self._prove([(store, name) for name, stores in self._whole(manifests, holders) for store in stores])
        for manifest in manifests:
            self._take_in(manifest)
        self._verify_packs(holders)
        if chosen is None:
            self._verify_flows()
        harmed = {each.object for each in self._report.problems}
        self._report.points += [each.name for each in manifests if not self._needs[each.name] & harmed]
        return self._report

    def _manifests(self, chosen: Sequence[Point] | None) -> list[Manifest]:
        catalogue = self._access.catalogue
        if chosen is not None:
            return [catalogue.find(point.name, point.service).manifest for point in chosen]
        broken = catalogue.broken()
        for name, error in broken.items():
            self._report.add("", name, what_is_wrong(error), str(error))
        return [each.manifest for each in catalogue.all(without=set(broken))]

    def _holders(self, manifests: Sequence[Manifest]) -> dict[str, list[Store]]:
        """Return the stores that have each point's manifest; report those that lack one which another has."""
        holders: dict[str, list[Store]] = {manifest.name: [] for manifest in manifests}
        self._needs = {manifest.name: {manifest.name, _place(manifest)} for manifest in manifests}
        for store in self._access.stores.stores:
            try:
                listed: dict[str, list[str]] = {}
                for info in store.list(f"{names.POINTS}/"):
                    listed.setdefault(info.name.rpartition("/")[0] + "/", []).append(info.name)
            except CofferError as error:
                for manifest in manifests:
                    self._report.add(store.url, _place(manifest), "unreadable", str(error))
                continue
            for manifest in manifests:
                mine = listed.get(_place(manifest), [])
                self._needs[manifest.name].update(mine)
                if mine:
                    holders[manifest.name].append(store)
                else:
                    self._report.add(store.url, _place(manifest), "missing", "another store has it")
        return holders

    def _whole(
        self, manifests: Sequence[Manifest], holders: dict[str, list[Store]]
    ) -> Iterator[tuple[str, list[Store]]]:
        """Yield what is small enough to be read whole, and the stores to read it from; each object once."""
        wanted: dict[str, dict[str, Store]] = {}
        for manifest in manifests:
            needs = self._needs[manifest.name]
            trees = (name for source in manifest.sources for name in source.trees)
            needs.update((manifest.listing, *manifest.index, *trees))
            for name in needs - {manifest.name, _place(manifest)}:
                wanted.setdefault(name, {}).update({store.url: store for store in holders[manifest.name]})
        for name in sorted(wanted):
            yield name, list(wanted[name].values())

    def _prove(self, readings: Sequence[Reading]) -> None:
        for found, data in ahead(_read, readings):
            self._account(found)
            if data and self._content.takes(found.name):
                try:
                    self._content.take(found.name, data)
                except CofferError as error:
                    self._report.add(found.store, found.name, what_is_wrong(error), str(error))

    def _take_in(self, manifest: Manifest) -> None:
        try:
            needed = self._content.need(manifest)
        except CofferError as error:
            known = {each.object for each in self._report.problems}
            if not self._needs[manifest.name] & known:  # else its cause is reported already
                self._report.add("", manifest.name, what_is_wrong(error), str(error))
            return
        self._needs[manifest.name].update(pack.name for pack in needed)

    def _verify_packs(self, holders: dict[str, list[Store]]) -> None:
        by_pack: dict[str, dict[str, Store]] = {}
        for manifest, needs in self._needs.items():
            for name in (needs & self._content.packs().keys()).difference(self._left_out):
                by_pack.setdefault(name, {}).update({store.url: store for store in holders[manifest]})
        readings = [(store, name) for name in sorted(by_pack) for store in by_pack[name].values()]
        self._total += sum(self._content.packs()[name][0].size for _, name in readings)

        def read(reading: Reading) -> Found:
            store, name = reading
            pack, rows = self._content.packs()[name]
            return check_pack(store, pack, places(pack, rows), self._open)

        for found in ahead(read, readings, threads=_THREADS):
            self._account(found)

    def _open(self, chunk: bytes, place: Location, sealed: memoryview) -> None:
        packs.open_chunk(self._access.keys, self._content_keys.of(place.pack), chunk, place, sealed)

    def _verify_flows(self) -> None:
        access = self._access

        def read(reading: Reading) -> Found:
            found, data = _read(reading)
            try:
                if data:
                    is_journal = found.name.startswith(f"{names.JOURNAL}/")
                    opened = journal.content if is_journal else wal.content
                    opened(data, found.name, access.keys, access.configuration, access.wal_run_key)
            except CofferError as error:
                found.problems.append((what_is_wrong(error), str(error)))
            return found

        where = access.stores.where(f"{names.WAL}/") | access.stores.where(f"{names.JOURNAL}/")
        for found in ahead(read, [(store, name) for name, stores in where.items() for store in stores]):
            self._account(found)

    def _account(self, found: Found) -> None:
        self._report.objects += 1
        self._report.bytes += found.size
        for what, detail in found.problems:
            self._report.add(found.store, found.name, what, detail)
        if self._progress:
            self._progress(self._report.bytes, max(self._total, self._report.bytes))


def _place(manifest: Manifest) -> str:
    return f"{names.POINTS}/{manifest.service}/{manifest.name}/"


def _read(reading: Reading) -> tuple[Found, bytes]:
    """Read an object whole and compare it with its name; no bytes if it is not what was written."""
    store, name = reading
    found = Found(store.url, name)
    try:
        data = store.get(name)
        found.size = len(data)
        names.check(name, data)
    except CofferError as error:
        found.problems.append(problem(error))
        return found, b""
    return found, data
