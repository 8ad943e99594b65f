"""Whether every store has what signed lists name, and what the other stores have. Needs no key."""

from __future__ import annotations

from collections.abc import Mapping

from coffer.errors import CofferError, IntegrityError, UsageError
from coffer.vault import configuration as configurations
from coffer.vault import names, points
from coffer.vault.configuration import Configuration
from coffer.vault.points import ObjectList
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import ObjectInfo
from coffer.vault.verify_report import VerifyReport

_ALIKE = (f"{names.POINTS}/", f"{names.CONFIGURATION}/", f"{names.JOURNAL}/")
"""Objects that every store must have under the very same name."""
_ALIKE_BY_PLACE = (f"{names.WAL}/", f"{names.KEYS}/")
"""Places that must hold an object in every store; its id may differ: sealed twice, or rewrapped."""


class Completeness:
    """Compares stores with each other and with the lists of points.

    Args:
        stores: The stores.
        contents: What each held when it was listed, by address and name.
        report: Takes the problems.
    """

    def __init__(
        self, stores: StoreSet, contents: Mapping[str, Mapping[str, ObjectInfo]], report: VerifyReport
    ) -> None:
        self._stores = stores
        self._contents = contents
        self._report = report
        self._places = {url: {_place(name) for name in listing} for url, listing in contents.items()}
        self._everything = sorted({name for listing in contents.values() for name in listing})

    def check(self) -> None:
        """Report what is missing where."""
        try:
            configuration = configurations.load(self._stores, root=None)
        except (IntegrityError, UsageError) as error:
            self._report.add("", f"{names.CONFIGURATION}/", "not genuine", str(error))
            return
        for name in self._everything:
            if name.startswith(_ALIKE):
                self._expect_everywhere(name)
            elif name.startswith(f"{names.LISTS}/"):
                self._check_list(name, configuration)
        for place in sorted({_place(name) for name in self._everything if name.startswith(_ALIKE_BY_PLACE)}):
            self._expect_place_everywhere(place)

    def _check_list(self, name: str, configuration: Configuration) -> None:
        """A list without its manifest is of a point that was never committed, or is just being."""
        manifest = _place(name).replace(names.LISTS, names.POINTS, 1)
        committed = [url for url, places in self._places.items() if manifest in places]
        if not committed:
            return
        try:
            record = points.open_list(configuration, name, self._stores.read(name))
        except CofferError as error:
            self._report.add("", name, "not genuine", str(error))
            return
        if all([self._is_whole(url, name, record) for url in committed]):  # noqa: C419 - every store is looked at
            self._report.points.append(record.name)

    def _is_whole(self, url: str, name: str, record: ObjectList) -> bool:
        listing, before = self._contents[url], len(self._report.problems)
        damaged = {problem.object for problem in self._report.problems if problem.store == url}
        if name not in listing:
            self._report.add(url, name, "missing", "the list of a point")
        for each, size in record.objects:
            if each.startswith(f"{names.KEYS}/"):  # rewrapped under another name when recipients change
                if _place(each) not in self._places[url]:
                    self._report.add(url, _place(each), "missing", f"the key of point {record.name}")
            elif each not in listing:
                if each not in damaged:  # hidden, and said so
                    self._report.add(url, each, "missing", f"point {record.name} needs it")
            elif listing[each].size != size:
                self._report.add(url, each, "damaged", f"{listing[each].size} bytes instead of {size}")
        return len(self._report.problems) == before and not damaged.intersection(each for each, _ in record.objects)

    def _expect_everywhere(self, name: str) -> None:
        for url, listing in self._contents.items():
            if name not in listing and not self._is_there_now(url, name):
                self._report.add(url, name, "missing", "another store has it")

    def _expect_place_everywhere(self, place: str) -> None:
        for url, places in self._places.items():
            if place not in places and not self._is_there_now(url, f"{place}/"):
                self._report.add(url, place, "missing", "another store has it")

    def _is_there_now(self, url: str, prefix: str) -> bool:
        """Ask again: stores are listed one after the other, while a writer goes on writing."""
        store = next(store for store in self._stores.stores if store.url == url)
        return next(store.list(prefix), None) is not None


def _place(name: str) -> str:
    return name.rpartition("/")[0]
