"""The real disaster: a service comes back at its own place. Runs without Prefect; a flow calls the same code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from coffer.environments import Environment
from coffer.errors import CofferError, HeldByAnother, NotThere, UsageError
from coffer.keys.opener import Opener
from coffer.keys.passphrase import Passphrase
from coffer.recovery import recover_executor
from coffer.recovery.access import VaultAddress, recovery_of
from coffer.recovery.recover_actions import RecoveryActions
from coffer.recovery.recover_executor import Outcome
from coffer.recovery.recover_journal import Journal, alone, now
from coffer.recovery.recover_keeper import open_keeper
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.recover_plan import make_plan
from coffer.recovery.recover_report import RecoveryReport
from coffer.recovery.recover_steps import Abilities, Step, steps_of
from coffer.recovery.target import RestoreTarget
from coffer.vault.reader import Progress, VaultReader

Log = Callable[[str], None]


@dataclass(frozen=True)
class RecoverRequest:
    """What to recover, and who asks.

    Attributes:
        environment: Whose service.
        who: Opens the vault.
        again: What a person types to go on after a failure.
        target: The moment; None: the end of the log, or what an unfinished recovery was for.
        image: The image by digest; empty: the one that the vault says ran then.
        root: Fingerprint of the vault's root key, from the recovery kit.
        anew: Begin again even if a recovery is half done.
        recovery: Id of the recovery that is gone on with. Empty: the unfinished one, or a new one.
        new_id: Id of a new one; empty makes one.
    """

    environment: Environment
    who: Opener | Passphrase
    again: str
    target: RestoreTarget | None = None
    image: str = ""
    root: str | None = None
    anew: bool = False
    recovery: str = ""
    new_id: str = ""


class Recovery:
    """One recovery: planned or half done.

    Attributes:
        journal: What was decided, and done.
        resumed: It was begun before.
    """

    def __init__(self, request: RecoverRequest) -> None:
        """Open the vault and choose, or find what an earlier process chose. Nothing of the service is touched.

        Raises:
            WrongKey: The key does not open the vault.
            NotThere: No point reaches the moment.
            UnsafeTarget: A place is a mount point.
            UsageError: A half done recovery is for another moment.
        """
        begin = time.monotonic()
        self._request = request
        self.place = RecoveryPlace.of(request.environment)
        self.place.refuse_mount_points()
        self._reader = VaultReader.open(
            VaultAddress.of(request.environment).open_stores(), request.who, root=request.root
        )
        found = self._found()
        self.resumed = found is not None and bool(found.record.begun)
        self.journal = found or self._planned(begin)
        self._actions = RecoveryActions(request.environment, self.place, self._reader, self.journal)

    @property
    def steps(self) -> Sequence[Step]:
        """All steps, done or not."""
        environment, recovery = self._request.environment, recovery_of(self._request.environment)
        keeper = open_keeper(self.place)
        can = Abilities(
            prepare=self.place.keeper == "own",
            redis="redis" in self.journal.record.plan.sources or keeper.keeps("redis"),
            questions=bool(environment.service.consistency),
            record=recovery.dns is not None,
            shipping=keeper.keeps("wal") or keeper.keeps("files"),
            point=VaultAddress.of(environment).writer_file.is_file(),
        )
        return steps_of(self.journal.record.plan, can)

    def lines(self) -> list[str]:
        """Return what will happen, for whoever has to say yes."""
        record = self.journal.record
        if not self.resumed:
            return record.plan.lines()
        done = [step for step in self.steps if step.key in record.done]
        head = f"go on with recovery {record.plan.id}, begun {record.begun[:19]} UTC: {len(done)} steps are done"
        return [head, *record.plan.lines()]

    def confirm(self, by: str) -> None:
        """Write down who said yes."""
        self.journal.record.confirmed_by = by
        self.journal.save()

    def run(self, log: Log, progress: Progress | None = None) -> RecoveryReport:
        """Carry out what is left; after a failure everything stays as it is and a second call goes on.

        Raises:
            UsageError: Nobody confirmed it.
            HeldByAnother: Another recovery acts here.
            CofferError: A step failed; the error says which, and what to type.
        """
        with self.acting(progress):
            recover_executor.execute(self.steps, self._actions, self.journal, again=self._request.again, log=log)
            return self.finish()

    def perform(self, step: Step, progress: Progress | None = None) -> Outcome:
        """Carry out one step alone, or find it done; raises as `run` does."""
        number = [each.key for each in self.steps].index(step.key) + 1
        with self.acting(progress):
            try:
                return recover_executor.perform_step(step, self._actions, self.journal)
            except HeldByAnother:
                raise
            except CofferError as error:
                raise recover_executor.stopped_at(step, number, len(self.steps), error, self._request.again) from error

    @contextmanager
    def acting(self, progress: Progress | None = None) -> Iterator[None]:
        """Hold the place; write down that it began."""
        record = self.journal.record
        if not record.confirmed_by:
            raise UsageError("nobody confirmed this recovery")
        with alone(self.place.work):
            if not record.begun:
                record.begun = now()
                self.journal.save()
            self._actions.progress = progress
            yield

    def finish(self) -> RecoveryReport:
        """Write down that it ended, and report."""
        record = self.journal.record
        record.finished = record.finished or now()
        self.journal.save()
        return RecoveryReport.of(record, self.steps, recovery_of(self._request.environment))

    def _found(self) -> Journal | None:
        request = self._request
        if request.recovery:
            named = Journal.named(self.place.work, request.recovery)
            if named is None:
                raise NotThere(f"there is no recovery {request.recovery} here", detail=str(self.place.work))
            return named
        found = None if request.anew else Journal.unfinished(self.place.work)
        if found is None:
            return None
        plan = found.record.plan
        if request.target is not None and request.target != plan.target:
            raise UsageError(
                f"a recovery to {plan.target} is half done here",
                detail=f"{plan.id}, begun {found.record.begun[:19]} UTC",
                resolution="Leave the moment away to go on with it, or begin again with --anew",
            )
        if request.image and request.image != plan.image:
            found.record.plan = msgspec.structs.replace(plan, image=request.image)
            found.save()
        return found

    def _planned(self, begin: float) -> Journal:
        request = self._request
        plan = make_plan(
            self._reader,
            request.environment.name,
            request.environment.service.name,
            self.place,
            request.target or RestoreTarget(),
            image=request.image,
            recovery=request.new_id,
        )
        plan = msgspec.structs.replace(plan, choosing_seconds=round(time.monotonic() - begin, 3))
        return Journal.begin(self.place.work, plan)
