"""Proof that bytes are what was written: at rest by names alone, or read back, opened and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coffer.errors import CofferError, IntegrityError, NotThere, UsageError
from coffer.vault import configuration as configurations
from coffer.vault import names, points
from coffer.vault.configuration import Configuration
from coffer.vault.points import ObjectList
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import ObjectInfo, Store

if TYPE_CHECKING:
    from coffer.vault.points import Point
    from coffer.vault.reader import VaultReader

_PIECE = 8 << 20
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written.

    Attributes:
        store: Address of the store; empty where no store is right.
        object: Its name.
        what: `damaged`, `missing`, `unreadable`, `stray`, `not genuine`.
        detail: More about it.
    """

    store: str
    object: str
    what: str
    detail: str = ""


@dataclass
class VerifyReport:
    """What was proven.

    Attributes:
        objects: Objects looked at, each store counted.
        bytes: Bytes read.
        points: Points that are whole in every store that was looked at.
        problems: What is not as it was written.
        opened: Whether contents were decrypted and hashed, not only looked at as they rest.
    """

    objects: int = 0
    bytes: int = 0
    points: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    opened: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems

    def add(self, store: str, name: str, what: str, detail: str = "") -> None:
        """Note a problem, once."""
        problem = Problem(store, name, what, detail)
        if problem not in self.problems:
            self.problems.append(problem)

    def raise_for_problems(self) -> None:
        """Raise unless everything is as it was written.

        Raises:
            IntegrityError: It names the first few objects.
        """
        if self.problems:
            shown = "; ".join(
                f"{each.object} {each.what} in {each.store or 'every store'}" for each in self.problems[:3]
            )
            raise IntegrityError(f"{len(self.problems)} objects are not what was written", detail=shown)


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
    contents = {store.url: {info.name: info for info in store.list()} for store in stores}
    total = sum(info.size for listing in contents.values() for info in listing.values())
    for store in stores:
        for info in contents[store.url].values():
            _check_at_rest(store, info, report)
            if progress:
                progress(report.bytes, total)
    _check_lists(together, contents, report)
    return report


def verify_points(reader: VaultReader, chosen: Sequence[Point] | None, progress: Progress | None) -> VerifyReport:
    """Do what `VaultReader.verify` promises."""
    from coffer.vault.reading_back import ReadingBack

    return ReadingBack(reader, progress).run(chosen)


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


def _check_at_rest(store: Store, info: ObjectInfo, report: VerifyReport) -> None:
    report.objects += 1
    try:
        wanted = names.ObjectName.parse(info.name).sha256
    except IntegrityError:
        report.add(store.url, info.name, "stray", "no object of a vault is called so")
        return
    try:
        digest, size = sha256_of(store, info.name, info.size)
    except CofferError as error:
        report.add(store.url, info.name, "missing" if isinstance(error, NotThere) else "unreadable", str(error))
        return
    report.bytes += size
    if digest != wanted:
        report.add(store.url, info.name, "damaged", "its SHA-256 differs from its name")


def _check_lists(together: StoreSet, contents: dict[str, dict[str, ObjectInfo]], report: VerifyReport) -> None:
    try:
        configuration = configurations.load(together, root=None)
    except (IntegrityError, UsageError) as error:
        report.add("", f"{names.CONFIGURATION}/", "not genuine", str(error))
        return
    everything = {name for listing in contents.values() for name in listing}
    for name in sorted(each for each in everything if each.startswith((f"{names.POINTS}/", f"{names.CONFIGURATION}/"))):
        _check_everywhere(name, contents, report)
    for name in sorted(each for each in everything if each.startswith(f"{names.LISTS}/")):
        _check_list(name, together, configuration, contents, report)
    for place in sorted({name.rpartition("/")[0] for name in everything if name.startswith(f"{names.WAL}/")}):
        _check_place(place, contents, report)
    for place in sorted({name.rpartition("/")[0] for name in everything if name.startswith(f"{names.KEYS}/")}):
        _check_place(place, contents, report)


def _check_list(
    name: str,
    together: StoreSet,
    configuration: Configuration,
    contents: dict[str, dict[str, ObjectInfo]],
    report: VerifyReport,
) -> None:
    """A list without its manifest is of a point that was never committed, or is just being."""
    manifest = name.replace(names.LISTS, names.POINTS, 1).rpartition("/")[0] + "/"
    committed = [url for url, listing in contents.items() if any(each.startswith(manifest) for each in listing)]
    if not committed:
        return
    try:
        record = points.open_list(configuration, name, together.read(name))
    except CofferError as error:
        report.add("", name, "not genuine", str(error))
        return
    whole = [_is_whole(url, contents[url], name, record, report) for url in committed]
    if all(whole):
        report.points.append(record.name)


def _is_whole(url: str, listing: dict[str, ObjectInfo], name: str, record: ObjectList, report: VerifyReport) -> bool:
    before = len(report.problems)
    damaged = {problem.object for problem in report.problems if problem.store == url}
    if name not in listing:
        report.add(url, name, "missing", "the list of a point")
    for each, size in record.objects:
        if each.startswith(f"{names.KEYS}/"):
            continue  # rewrapped under another name when recipients change; looked at by place
        if each not in listing:
            report.add(url, each, "missing", f"point {record.name} needs it")
        elif listing[each].size != size:
            report.add(url, each, "damaged", f"{listing[each].size} bytes instead of {size}")
    keys = {each.rpartition("/")[0] for each, _ in record.objects if each.startswith(f"{names.KEYS}/")}
    for place in keys:
        if not any(each.startswith(f"{place}/") for each in listing):
            report.add(url, place, "missing", f"the key of point {record.name}")
    return len(report.problems) == before and not damaged.intersection(each for each, _ in record.objects)


def _check_everywhere(name: str, contents: dict[str, dict[str, ObjectInfo]], report: VerifyReport) -> None:
    for url, listing in contents.items():
        if name not in listing:
            report.add(url, name, "missing", "another store has it")


def _check_place(place: str, contents: dict[str, dict[str, ObjectInfo]], report: VerifyReport) -> None:
    for url, listing in contents.items():
        if not any(name.startswith(f"{place}/") for name in listing):
            report.add(url, place, "missing", "another store has it")
