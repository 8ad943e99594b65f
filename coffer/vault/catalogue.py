"""The points of a vault: found in every store, believed when signed, ordered by counter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from coffer.errors import CofferError, Forged, IntegrityError, NotThere
from coffer.vault import names, points
from coffer.vault.capture import Kind
from coffer.vault.configuration import Configuration
from coffer.vault.index_keys import IndexKeys
from coffer.vault.points import Manifest, Point
from coffer.vault.store_set import StoreSet


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
    ) -> tuple[list[Known], dict[str, IntegrityError]]:
        """Return the points that are genuine, oldest first, and why other manifests are not.

        Raises:
            Unreachable: No store answers.
        """
        prefix = f"{names.POINTS}/{service}/" if service else f"{names.POINTS}/"
        found = self._stores.where(prefix)
        known, broken = [], {}
        for name, stores in found.items():
            if name in without:
                continue
            try:
                manifest = self._open(name)
            except NotThere:  # a prune removed it since the names were listed
                continue
            except IntegrityError as error:
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
        """Return a point by name, or the newest for `latest`.

        Manifests of other points that are not genuine are passed over with a note: whoever can write into a store, and
        rot in one object, must not keep anybody from the points that are whole.

        Raises:
            NotThere: There is no such point, or the name is one of two services.
            IntegrityError: Its manifest is damaged; for `latest`, that of a newer one is.
        """
        known, broken = self.readable(service)
        for bad, error in broken.items():
            self._stores.note(f"{bad} is passed over: {error}")
        matching = known[-1:] if name == "latest" else [each for each in known if each.point.name == name]
        of = f" of {service}" if service else ""
        if name == "latest" and service is None and len({each.point.service for each in known}) > 1:
            matching = sorted(known, key=lambda each: each.point.started)[-1:]
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


def _check_not_broken(name: str, matching: list[Known], broken: Mapping[str, IntegrityError]) -> None:
    """Do not give back an older point in silence where the one that was meant is damaged."""
    for bad, error in broken.items():
        place = bad.split("/")[2]
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
