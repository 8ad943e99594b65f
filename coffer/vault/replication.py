"""Copies of a vault: what a target lacks is brought there, each object compared with its name, manifests last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from coffer.errors import CofferError, IntegrityError
from coffer.vault import configuration as configurations
from coffer.vault import names, points
from coffer.vault.configuration import Configuration
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.protocol import Store

Progress = Callable[[int, int], None]


@dataclass
class ReplicationReport:
    """What a replication did.

    Attributes:
        objects: Objects copied, each target counted.
        bytes: Bytes copied.
        points: Points that every target now has whole.
        problems: What could not be copied, and why.
    """

    objects: int = 0
    bytes: int = 0
    points: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the targets have all that the source has."""
        return not self.problems

    def raise_for_problems(self) -> None:
        """Raise unless everything was copied.

        Raises:
            IntegrityError: The source holds objects that are not what was written.
        """
        if self.problems:
            raise IntegrityError("Not everything could be copied", detail="; ".join(self.problems[:3]))


def replicate(source: Store, targets: Sequence[Store], progress: Progress | None = None) -> ReplicationReport:
    """Bring every target up to a source. Needs no key; running it again copies only what is missing.

    Args:
        source: Where everything is.
        targets: Where it shall be; a file store's folder is made.
        progress: Called with objects done and objects in all, for each target.

    Raises:
        NoVault: The source holds none.
        IntegrityError: A target holds another vault.
        StoreFull: A target has no room.
        Unreachable: One does not answer.
    """
    configuration = configurations.load(StoreSet([source]), root=None)
    report = ReplicationReport()
    whole: list[set[str]] = []
    for target in targets:
        if isinstance(target, FileStore):
            target.create()
        configurations.check_one_vault([target], configuration.vault)
        whole.append(_Copy(source, target, configuration, report, progress).run())
    report.points = sorted(set.intersection(*whole)) if whole else []
    return report


class _Copy:
    """Copies into one target."""

    def __init__(
        self,
        source: Store,
        target: Store,
        configuration: Configuration,
        report: ReplicationReport,
        progress: Progress | None,
    ) -> None:
        self._source = source
        self._target = target
        self._configuration = configuration
        self._report = report
        self._progress = progress
        self._sizes = {info.name: info.size for info in source.list()}
        self._present = {info.name: info.size for info in target.list()}
        self._failed: set[str] = set()
        self._done = 0

    def run(self) -> set[str]:
        """Copy everything that is referenced; return the points that are whole."""
        for prefix in (names.KEYS, names.CONFIGURATION, names.WAL):
            self._copy_all(name for name in self._sizes if name.startswith(f"{prefix}/"))
        manifests = sorted(name for name in self._sizes if name.startswith(f"{names.POINTS}/"))
        return {manifest.split("/")[2] for manifest in manifests if self._copy_point(manifest)}

    def _copy_point(self, manifest: str) -> bool:
        place = manifest.replace(names.POINTS, names.LISTS, 1).rpartition("/")[0] + "/"
        listing = next((name for name in self._sizes if name.startswith(place)), None)
        if listing is None:
            self._problem(manifest, "its list is missing")
            return False
        try:
            record = points.open_list(self._configuration, listing, self._source.get(listing))
        except CofferError as error:
            self._problem(listing, str(error))
            return False
        needed = [name for name, _ in record.objects if not name.startswith(f"{names.KEYS}/")]
        return self._copy_all([*needed, listing]) and self._copy_all([manifest])

    def _copy_all(self, wanted: Iterable[str]) -> bool:
        return all([self._copy(name) for name in sorted(wanted)])  # noqa: C419 - every one is tried

    def _copy(self, name: str) -> bool:
        self._done += 1
        if self._progress:
            self._progress(self._done, max(self._done, len(self._sizes)))
        if name in self._failed:
            return False
        if self._present.get(name, -1) == self._sizes.get(name):
            return True
        try:
            data = self._source.get(name)
            names.check(name, data)
        except CofferError as error:
            self._failed.add(name)
            self._problem(name, str(error))
            return False
        self._target.put(name, data)
        self._present[name] = len(data)
        self._report.objects += 1
        self._report.bytes += len(data)
        return True

    def _problem(self, name: str, why: str) -> None:
        self._report.problems.append(f"{name}: {why}")
