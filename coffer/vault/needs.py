"""What points need of a store: the objects that they name, their place, and WAL and shipments since the oldest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from coffer.vault import names, points
from coffer.vault.clocks import SKEW
from coffer.vault.points import ObjectList
from coffer.vault.stores.protocol import ObjectInfo

PRUNED = (f"{names.PACKS}/", f"{names.TREES}/", f"{names.INDEX}/", names.RUN_KEYS)
"""Objects that go once no point names them; keys of other kinds and configurations never do."""
_BY_PLACE = (f"{names.POINTS}/", f"{names.LISTS}/", f"{names.PROOFS}/")
"""Objects that go with the point in whose place they stand."""
OF_POINTS = (*PRUNED, *_BY_PLACE)
"""Everything that points need or leave, but for WAL and shipments."""
_FLOWING = (f"{names.WAL}/", f"{names.JOURNAL}/")


def date_wal(contents: Mapping[str, Mapping[str, ObjectInfo]]) -> dict[str, dict[str, ObjectInfo]]:
    """Return what stores hold, WAL and shipments dated by their first copy anywhere: a later copy is no younger."""
    first: dict[str, datetime] = {}
    for listing in contents.values():
        for name, info in listing.items():
            if name.startswith(_FLOWING):
                first[name] = min(info.modified, first.get(name, info.modified))
    return {
        url: {name: replace(info, modified=first[name]) if name in first else info for name, info in listing.items()}
        for url, listing in contents.items()
    }


class Needs:
    """What a set of points needs.

    Args:
        kept: The points' lists.
        grace: How much older than the oldest point WAL may be and still be needed: a segment is put when it is full,
            and a base backup of a standby begins at its last restart point.
    """

    def __init__(self, kept: Sequence[ObjectList], grace: timedelta) -> None:
        self._objects = {name for record in kept for name, _ in record.objects}
        # A key that was wrapped anew stands in the same place under another name.
        self._keys = {name.rpartition("/")[0] for name in self._objects if name.startswith(f"{names.KEYS}/")}
        self._places = {f"{record.service}/{record.name}" for record in kept}
        oldest = min((points.from_ns(record.started_ns) for record in kept), default=None)
        self._margin = max(grace, SKEW)
        self._wal_before: datetime | None = oldest - self._margin if oldest else None
        self._covered = _covered(kept)

    def hold(self, info: ObjectInfo) -> bool:
        """Tell whether an object must stay."""
        place = info.name.rpartition("/")[0]
        if place.startswith(_BY_PLACE):
            return place.partition("/")[2] in self._places
        if place.startswith(f"{names.WAL}/"):
            return not self._is_old_wal(info)
        if place.startswith(f"{names.JOURNAL}/"):
            return not self._is_covered(info)
        return info.name in self._objects or place in self._keys or not info.name.startswith(PRUNED)

    def _is_covered(self, info: ObjectInfo) -> bool:
        """A shipment that was put well before the oldest point of its source began is in that one, and in all later."""
        _, service, source, _ = info.name.split("/", 3)
        since = self._covered.get((service, source))
        return since is not None and info.modified < since - self._margin

    def _is_old_wal(self, info: ObjectInfo) -> bool:
        """WAL that was put well before the oldest point began ends before its start; histories always stay."""
        is_history = info.name.split("/")[2].endswith(".history")
        return not is_history and self._wal_before is not None and info.modified < self._wal_before


def _covered(kept: Sequence[ObjectList]) -> dict[tuple[str, str], datetime]:
    """Return since when points hold a source, by service and source."""
    oldest: dict[tuple[str, str], datetime] = {}
    for record in kept:
        started = points.from_ns(record.started_ns)
        for source in record.sources:
            key = (record.service, source)
            oldest[key] = min(started, oldest.get(key, started))
    return oldest
