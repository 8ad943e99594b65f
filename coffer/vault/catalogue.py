"""The points of a vault: found in every store, believed when signed, ordered by counter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from coffer.errors import CofferError, Forged, IntegrityError, NotThere, UsageError
from coffer.vault import names, points
from coffer.vault.capture import Kind
from coffer.vault.configuration import Configuration
from coffer.vault.index_keys import IndexKeys
from coffer.vault.points import Manifest, Point
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store


@dataclass(frozen=True)
class Known:
    """A manifest with the point it stands for."""

    manifest: Manifest
    point: Point


class Catalogue:
    """Reads manifests; each once."""

    def __init__(self, stores: StoreSet, configuration: Configuration, keys: IndexKeys) -> None:
        self._stores = stores
        self._configuration = configuration
        self._keys = keys
        self._opened: dict[str, Manifest] = {}

    def all(self, service: str | None = None, *, without: Collection[str] = ()) -> list[Known]:
        """Return all points, oldest first.

        Args:
            service: Only this service's.
            without: Manifests to leave out, by object name.

        Raises:
            IntegrityError: A manifest is not genuine in any store that holds it.
            Unreachable: No store answers.
        """
        known, broken = self.readable(service, without=without)
        if broken:
            raise next(iter(broken.values()))
        return known

    def readable(
        self, service: str | None = None, *, without: Collection[str] = ()
    ) -> tuple[list[Known], dict[str, CofferError]]:
        """Return the points that are genuine, oldest first, and why other manifests are not.

        Raises:
            Unreachable: No store answers.
        """
        return self._read_names(lambda name: name not in without, service)

    def newest_of_each(self, service: str | None = None) -> tuple[list[Known], dict[str, CofferError]]:
        """Return each service's newest genuine point, and why newer manifests are not genuine; reads no older ones.

        Names give the order: a manifest that opens bears the counter of its name.

        Raises:
            Unreachable: No store answers.
        """
        found = self._stores.where(_prefix(service))
        steps: dict[str, dict[float, list[str]]] = {}
        for name in found:
            steps.setdefault(name.split("/")[1], {}).setdefault(_counter(name), []).append(name)
        newest: list[Known] = []
        broken: dict[str, CofferError] = {}
        for by_counter in steps.values():
            for counter in sorted(by_counter, reverse=True):
                known, bad = self._read({name: found[name] for name in by_counter[counter]})
                broken |= bad
                if known:
                    newest.append(known[-1])
                    break
        return newest, broken

    def _read_names(
        self, wanted: Callable[[str], bool], service: str | None
    ) -> tuple[list[Known], dict[str, CofferError]]:
        found = self._stores.where(_prefix(service))
        return self._read({name: stores for name, stores in found.items() if wanted(name)})

    def _read(self, found: Mapping[str, Sequence[Store]]) -> tuple[list[Known], dict[str, CofferError]]:
        known: list[Known] = []
        broken: dict[str, CofferError] = {}
        for name, stores in found.items():
            try:
                manifest = self._open(name)
            except NotThere:  # a prune removed it since the names were listed
                continue
            except (IntegrityError, UsageError) as error:  # not genuine, or of a newer format
                broken[name] = error
                continue
            known.append(Known(manifest, points.describe(manifest, name, tuple(store.url for store in stores))))
        return sorted(known, key=lambda each: (each.point.counter, each.point.started, each.point.name)), broken

    def broken(self) -> dict[str, CofferError]:
        """Return the manifests that do not open, with the reason."""
        failures: dict[str, CofferError] = {}
        for name in self._stores.names(f"{names.POINTS}/"):
            try:
                self._open(name)
            except NotThere:  # a prune removed it since the names were listed
                continue
            except CofferError as error:
                failures[name] = error
        return failures

    def find(self, name: str, service: str | None = None) -> Known:
        """Return a point by name, or the newest for `latest`, without reading the manifests of all others.

        Newer manifests that are not genuine are passed over with a note: whoever can write into a store, and rot in
        one object, must not keep anybody from the points that are whole.

        Raises:
            NotThere: There is no such point, or the name is one of two services.
            IntegrityError: Its manifest is damaged; for `latest`, that of a newer one is.
        """
        if name == "latest":
            newest, broken = self.newest_of_each(service)
            matching = sorted(newest, key=lambda each: each.point.started)[-1:]
        else:
            matching, broken = self._read_names(lambda found: _place(found) == name, service)
        for bad, error in broken.items():
            self._stores.note(f"{bad} is passed over: {error}")
        of = f" of {service}" if service else ""
        _check_not_broken(name, matching, broken)
        if not matching:
            raise NotThere(f"There is no point {name}{of}", resolution="'coffer points' lists them")
        if len(matching) > 1:
            raise NotThere(f"Several services have a point {name}", resolution="Name the service")
        return matching[0]

    def newest(self, service: str, *, full: bool = False) -> Known | None:
        """Return a service's newest point, or its newest full one."""
        known = [each for each in self.all(service) if not full or each.point.kind is Kind.FULL]
        return known[-1] if known else None

    def _open(self, name: str) -> Manifest:
        if name not in self._opened:
            data = self._stores.read(name)
            self._opened[name] = points.open_manifest(self._keys, self._configuration, name, data)
        return self._opened[name]


def _prefix(service: str | None) -> str:
    return f"{names.POINTS}/{service}/" if service else f"{names.POINTS}/"


def _place(name: str) -> str:
    """Return the point that a manifest's name names; empty where it is no such name."""
    parts = name.split("/")
    return parts[2] if len(parts) > 2 else ""


def _counter(name: str) -> float:
    """Return the counter that a manifest's name bears; what bears none comes first, and is found not to be genuine."""
    counter = _place(name).partition("-")[0]
    return int(counter) if counter.isdecimal() else float("inf")


def _check_not_broken(name: str, matching: list[Known], broken: Mapping[str, CofferError]) -> None:
    """Do not give back an older point in silence where the one that was meant is damaged."""
    for bad, error in broken.items():
        place = _place(bad)
        if name == "latest" and matching:
            newer = matching[0].point.service == bad.split("/")[1] and place > matching[0].point.name
            if newer and not isinstance(error, Forged):
                error.resolution = f"The newest that is whole is {matching[0].point.name}"
                raise error
        elif not matching and name in (place, "latest"):
            raise error


def check_head(known: list[Known], service: str, counter: int) -> None:
    """Make sure that a service's history reaches as far as it was ever seen; older points may have been pruned since.

    Raises:
        IntegrityError: It was cut short.
    """
    mine = [each.point for each in known if each.point.service == service]
    if not any(point.counter >= counter for point in mine):
        newest = mine[-1].name if mine else "none"
        raise IntegrityError(
            "The history is shorter than it was",
            detail=f"{service}: point {counter} is gone; the newest is {newest}",
            resolution="Someone removed points, or the store was set back; look at its versions and its log",
        )
