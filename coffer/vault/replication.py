"""Copies of a vault: what targets lack is brought there, each object compared with its name, manifests last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from coffer.errors import CofferError, HeldByAnother, IntegrityError, NotInEveryStore, NotThere, RefusedByPolicy
from coffer.vault import configuration as configurations
from coffer.vault.configuration import Configuration
from coffer.vault.replication_plan import ReplicationPlan, WantedPoint, make_plan
from coffer.vault.replication_target import ReplicationTarget
from coffer.vault.store_set import StoreSet, gravest
from coffer.vault.stores.protocol import Store

Progress = Callable[[int, int], None]
_JOBS = 4


@dataclass
class ReplicationReport:
    """What a replication did.

    Attributes:
        objects: Objects copied, each target counted.
        bytes: Bytes copied.
        points: Points that every target now has whole.
        problems: What could not be copied, and why.
        notes: What was wrong in a source although another had it, and points that were pruned meanwhile.
        left_behind: Targets that failed, and why; run it again when they are back.
    """

    objects: int = 0
    bytes: int = 0
    points: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_behind: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the targets have all that the sources have."""
        return not self.problems and not self.left_behind

    def raise_for_problems(self) -> None:
        """Raise unless everything was copied everywhere.

        Raises:
            IntegrityError: The sources hold objects that are not what was written.
            NotInEveryStore: A target was left behind.
        """
        if self.problems:
            raise IntegrityError("Not everything could be copied", detail="; ".join(self.problems[:3]))
        if self.left_behind:
            detail = "; ".join(f"{url}: {why}" for url, why in self.left_behind.items())
            raise NotInEveryStore("Not every target has it", detail=detail, resolution="Run it again; it goes on there")


def replicate(
    sources: Store | Sequence[Store], targets: Sequence[Store], progress: Progress | None = None, *, jobs: int = _JOBS
) -> ReplicationReport:
    """Bring every target up to the sources. Needs no key; running it again copies only what is missing.

    Args:
        sources: Where everything is; an object that is bad in one is taken from another, and that is said.
        targets: Where it shall be; a file store's folder is made.
        progress: Called with bytes copied and bytes to copy, each target counted.
        jobs: Objects on the way at once: with their largest size they bound the memory.

    Raises:
        NoVault: The sources hold none.
        IntegrityError: A target holds another vault.
        Unreachable: No source answers, or none that may have what is missing.
        CofferError: What the gravest target said, when all were left behind.
    """
    several = StoreSet(sources if isinstance(sources, Sequence) else [sources])
    configuration = configurations.load(several, root=None)
    replication = _Replication(several, configuration, progress, jobs)
    for target in targets:
        replication.add(target)
    return replication.run()


class _Replication:
    """One run."""

    def __init__(self, sources: StoreSet, configuration: Configuration, progress: Progress | None, jobs: int) -> None:
        self._sources = sources
        self._configuration = configuration
        self._progress = progress
        self._jobs = jobs
        self._report = ReplicationReport()
        self._targets: list[ReplicationTarget] = []
        self._failures: dict[str, CofferError] = {}
        self._bad: dict[str, str] = {}
        self._done = self._total = 0
        self._mutex = threading.Lock()

    def add(self, store: Store) -> None:
        """Take a target in; one that does not answer is left behind."""
        try:
            store.create()
            configurations.check_one_vault([store], self._configuration.vault)
            self._targets.append(ReplicationTarget(store, self._configuration))
        except IntegrityError:
            raise
        except CofferError as error:
            self._failures[store.url] = error

    def run(self) -> ReplicationReport:
        """Copy all, and say what came of it."""
        self._live()
        plan = make_plan(self._sources, self._configuration)
        self._total = sum(
            sum(
                plan.sizes.get(name, 0) for name in set(plan.wanted()) if not target.has(name, plan.sizes.get(name, -1))
            )
            for target in self._targets
        )
        self._copy(plan, plan.always)
        problems = [*plan.problems, *(f"{name}: {self._bad[name]}" for name in plan.always if name in self._bad)]
        for point in plan.points:
            problems += self._copy_point(plan, point)
        return self._finish(problems)

    def _finish(self, problems: Sequence[str]) -> ReplicationReport:
        report = self._report
        self._live()
        for target in self._targets:
            report.objects += target.objects
            report.bytes += target.bytes
            problems = [*problems, *target.problems]
        report.left_behind = {url: str(error) for url, error in self._failures.items()}
        report.problems = list(dict.fromkeys(problems))
        report.notes += self._sources.notes
        report.points.sort()
        return report

    def _copy_point(self, plan: ReplicationPlan, point: WantedPoint) -> list[str]:
        """Copy a point, its manifest last; return what was wrong."""
        self._copy(plan, point.needed)
        bad = [f"{name}: {self._bad[name]}" for name in point.needed if name in self._bad]
        manifests = []
        for name in point.manifests:
            try:
                manifests.append((name, self._sources.read(name)))
            except (IntegrityError, NotThere) as error:
                bad.append(f"{name}: {error}")
        if bad:
            return [] if self._is_pruned(point) else bad
        there = [self._commit(target, plan, point, manifests) for target in self._live()]
        self._copy(plan, point.proofs)
        if all(there) and len(there) == len(self._targets) and not self._failures:
            self._report.points.append(point.name)
        return [f"{name}: {self._bad[name]}" for name in point.proofs if name in self._bad]

    def _commit(
        self,
        target: ReplicationTarget,
        plan: ReplicationPlan,
        point: WantedPoint,
        manifests: list[tuple[str, bytes]],
    ) -> bool:
        try:
            return self._put_point(target, plan, point, manifests)
        except (HeldByAnother, RefusedByPolicy):
            # A prune marked or swept what was counted on, or might have: look again, bring it again, once.
            try:
                target.look()
            except CofferError as error:
                target.failure = error
                return False
            self._copy(plan, point.needed)
        try:
            return self._put_point(target, plan, point, manifests)
        except (HeldByAnother, RefusedByPolicy) as error:
            target.problems.append(f"{point.name}: {error}")
            return False

    def _put_point(
        self,
        target: ReplicationTarget,
        plan: ReplicationPlan,
        point: WantedPoint,
        manifests: list[tuple[str, bytes]],
    ) -> bool:
        before = target.bytes
        there = target.commit(point, plan.sizes, manifests)
        self._count(target.bytes - before)
        return there

    def _copy(self, plan: ReplicationPlan, wanted: Iterable[str]) -> None:
        """Copy what some target lacks, several objects at a time; the first error that is no object's ends it."""
        lacking = [name for name in wanted if name not in self._bad and self._takers(plan, name)]
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="coffer-replicate") as pool:
            try:
                for _ in pool.map(lambda name: self._copy_object(plan, name), lacking):
                    self._live()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _copy_object(self, plan: ReplicationPlan, name: str) -> None:
        if not (takers := self._takers(plan, name)):
            return
        try:
            data = self._sources.read(name)
        except (IntegrityError, NotThere) as error:
            with self._mutex:
                self._bad[name] = str(error)
            return
        for target in takers:
            target.put(name, data)
            self._count(len(data))

    def _takers(self, plan: ReplicationPlan, name: str) -> list[ReplicationTarget]:
        size = plan.sizes.get(name, -1)
        return [each for each in self._targets if each.failure is None and not each.has(name, size)]

    def _live(self) -> list[ReplicationTarget]:
        """Return the targets that did not fail; raise if all did."""
        failed = [each for each in self._targets if each.failure is not None]
        self._failures |= {each.store.url: each.failure for each in failed if each.failure is not None}
        live = [each for each in self._targets if each.failure is None]
        if not live and self._failures:
            raise gravest(list(self._failures.values()))
        return live

    def _is_pruned(self, point: WantedPoint) -> bool:
        """Tell whether a point that could not be copied is gone from the sources: then nothing is wrong."""
        if any(self._sources.names(name) for name in point.manifests):
            return False
        self._report.notes.append(f"{point.name} was pruned meanwhile")
        return True

    def _count(self, size: int) -> None:
        with self._mutex:
            self._done += size
            if self._progress:
                self._progress(self._done, max(self._done, self._total))
