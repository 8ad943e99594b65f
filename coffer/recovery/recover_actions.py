"""What each step of a recovery does, and what is looked at to judge it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, singledispatchmethod
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from coffer.environments import Environment
from coffer.environments.references import resolve_text
from coffer.errors import IntegrityError, OutsideSystemError, UnsafeTarget
from coffer.recovery import recover_redis
from coffer.recovery import recover_steps as steps
from coffer.recovery.access import VaultAddress, open_writer
from coffer.recovery.questions import Questions, ask_with
from coffer.recovery.recover_database import IsolatedDatabase
from coffer.recovery.recover_host import prepare_host
from coffer.recovery.recover_journal import Journal
from coffer.recovery.recover_keeper import Keeper, database_answers, give_sockets, open_keeper
from coffer.recovery.recover_ledger import write_ledger
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.recover_service import RecoveredService
from coffer.recovery.restore_configuration import restore_configuration
from coffer.recovery.restore_files import restore_files
from coffer.recovery.restore_redis import restore_redis
from coffer.recovery.taking import take_point
from coffer.recovery.traffic import Route53
from coffer.targets.docker_host.waiting import wait_until
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader

DATABASE_VARIABLE, REDIS_VARIABLE = "DATABASE_URL", "REDIS_URL"
_REPLAY_SECONDS = 4 * 3600.0
_START_SECONDS = 120.0
# In this order they stop; what ships the log goes before the database that it reads from.
_PROGRAMS = ("wal", "files", "redis", "postgres")


@dataclass
class RecoveryActions:
    """Acts for one recovery.

    Attributes:
        environment: Whose.
        place: Where.
        reader: The vault.
        journal: What was decided, and done.
        progress: Told how a restore goes.
    """

    environment: Environment
    place: RecoveryPlace
    reader: VaultReader
    journal: Journal
    progress: Progress | None = None
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = open_keeper(self.place)
        self.plan = self.journal.record.plan

    @cached_property
    def service(self) -> RecoveredService:
        """The instance to be, and the proxy before it."""
        return RecoveredService(self.environment, self.plan)

    @cached_property
    def points(self) -> list[Point]:
        """The service's points."""
        return self.reader.points(self.plan.service)

    @cached_property
    def point(self) -> Point:
        """Where the database begins."""
        return self.reader.point(self.plan.point, self.plan.service)

    @property
    def database(self) -> str:
        """Name of the service's database; empty if it has none."""
        reference = self.environment.service.secrets.get(DATABASE_VARIABLE)
        return str(conninfo_to_dict(resolve_text(reference)).get("dbname") or "") if reference else ""

    def observe(self, step: steps.Step) -> steps.Observed:
        """Look at what a step is judged by."""
        place, serving = self.place, isinstance(step, steps.StartService | steps.MoveTraffic)
        roles = ("postgres", "files", "redis")
        service = self.service.look() if serving else None
        return steps.Observed(
            noted=frozenset(self.journal.record.done),
            aside=frozenset(role for role in roles if not self._old_data(role)),
            recovered=frozenset(role for role in roles if self.journal.holds(self.folder(role))),
            database_answers=isinstance(step, steps.StartDatabase) and database_answers(place),
            redis_answers=isinstance(step, steps.StartRedis) and recover_redis.answers(place.redis_socket),
            instance_serves=service is not None and self.service.stands(service),
            traffic_moved=service is not None and self.service.has_traffic(service),
            record_moved=isinstance(step, steps.MoveRecord) and self._route53().is_moved(),
        )

    def folder(self, role: str) -> Path:
        """Return a role's place."""
        return {"postgres": self.place.postgres, "files": self.place.uploads, "redis": self.place.redis}[role]

    @singledispatchmethod
    def perform(self, step: steps.Step) -> str:
        """Carry out one step."""
        raise OutsideSystemError(f"a recovery knows no step {type(step).__name__}")

    @perform.register
    def _prepare(self, step: steps.PrepareHost) -> str:
        return prepare_host(self.environment, self.place, self.service.host.settings)

    @perform.register
    def _out_of_traffic(self, step: steps.OutOfTraffic) -> str:
        return self.service.take_out()

    @perform.register
    def _stop(self, step: steps.StopPrograms) -> str:
        for role in _PROGRAMS:
            if self.keeper.keeps(role):
                self.keeper.stop(role)
        return ", ".join(role for role in _PROGRAMS if self.keeper.keeps(role))

    @perform.register
    def _set_aside(self, step: steps.SetAside) -> str:
        folder = self.folder(step.role)
        aside = self.place.aside(folder, self.plan.id)
        if aside.exists():
            raise UnsafeTarget(
                f"{folder} is there again after it was set aside",
                detail=f"what was there before is {aside}",
                resolution=f"Somebody made it meanwhile: move it away (mv {folder} {folder}.found)",
            )
        _rename(folder, aside)
        return f"kept as {aside.name}"

    @perform.register
    def _bring(self, step: steps.BringBack) -> str:
        folder = self.folder(step.role)
        if folder.exists():
            raise UnsafeTarget(
                f"{folder} is there, and is not what was recovered",
                resolution=f"Move it away (mv {folder} {folder}.found)",
            )
        staging = self.place.staging(folder, self.plan.id)
        shutil.rmtree(staging, ignore_errors=True)  # of an attempt that was killed
        folder.parent.mkdir(parents=True, exist_ok=True)
        bring: dict[str, Callable[[Path, str], str]] = {
            "postgres": self._bring_postgres, "files": self._bring_files, "redis": self._bring_redis,
        }  # fmt: skip
        said = bring[step.role](staging, step.source)
        self.journal.expect(folder, staging)
        _rename(staging, folder)
        return said

    @perform.register
    def _configuration(self, step: steps.BringConfiguration) -> str:
        folder = self.place.work / f"configuration-{self.plan.id}"
        shutil.rmtree(folder, ignore_errors=True)
        for source in step.sources:
            restore_configuration(self.reader, self.point, folder / source, source=source)
        return f"in {folder}: compare it, nothing reads it by itself"

    @perform.register
    def _replay(self, step: steps.Replay) -> str:
        has_writer = VaultAddress.of(self.environment).writer_file.is_file()
        archive = open_writer(self.environment) if has_writer else None
        replayed = self._isolated().replay(self.database, _REPLAY_SECONDS, archive)
        self.journal.record.facts |= {"heartbeat": replayed.heartbeat, "wal_files": replayed.wal_files}
        return str(replayed)

    @perform.register
    def _start_database(self, step: steps.StartDatabase) -> str:
        give_sockets(self.place)
        return self._start("postgres", lambda: database_answers(self.place))

    @perform.register
    def _start_redis(self, step: steps.StartRedis) -> str:
        self.place.redis.mkdir(parents=True, exist_ok=True)
        return self._start("redis", lambda: recover_redis.answers(self.place.redis_socket))

    @perform.register
    def _ship(self, step: steps.StartShipping) -> str:
        for role in ("wal", "files"):
            if self.keeper.keeps(role):
                self.keeper.start(role)
        return ""

    @perform.register
    def _fetch(self, step: steps.FetchImage) -> str:
        return self.service.fetch()

    @perform.register
    def _start_service(self, step: steps.StartService) -> str:
        return self.service.start()

    @perform.register
    def _ask(self, step: steps.AskQuestions) -> str:
        service, spec = self.environment.service, self.service.spec
        secrets = {name: resolve_text(reference) for name, reference in service.secrets.items()}
        questions = Questions(
            image=self.plan.image, command=service.consistency, database=self.database, role="", user=service.user,
            memory=service.memory, docker=self.service.host.settings.docker,
        )  # fmt: skip
        mounts = {
            str(self.place.directory / outside.partition(":")[0]): {"bind": inside, "mode": "ro"}
            for inside, outside in spec.mounts.items()
        }
        answer = ask_with(
            questions, variables={**service.settings, **secrets}, mounts=mounts, secrets=list(secrets.values())
        )
        if not answer.ok:
            raise IntegrityError(
                "the service says that its data is wrong",
                detail="; ".join(answer.wrong),
                resolution="Nobody was sent to it. Look at it, or recover to another moment with --anew --time",
            )
        return f"{len(answer.questions)} asked, all yes"

    @perform.register
    def _move_traffic(self, step: steps.MoveTraffic) -> str:
        return self.service.move_traffic()

    @perform.register
    def _move_record(self, step: steps.MoveRecord) -> str:
        return self._route53().move()

    @perform.register
    def _ledger(self, step: steps.WriteLedger) -> str:
        return f"entry {write_ledger(self.place, self.journal)}"

    @perform.register
    def _take_point(self, step: steps.TakePoint) -> str:
        facts = {"why": f"after recovery {self.plan.id}", "image": self.plan.image}
        return take_point(self.environment, "full", facts=facts, request=f"recovery-{self.plan.id}").name

    def _bring_postgres(self, staging: Path, source: str) -> str:
        tablespaces = self._tablespaces
        shutil.rmtree(tablespaces, ignore_errors=True)
        summary = self._isolated().restore(staging, tablespaces, self.plan.target, self.progress)
        return f"{summary.bytes / 1e6:.0f} MB"

    def _bring_files(self, staging: Path, source: str) -> str:
        summary = restore_files(
            self.reader, self.points, source, self.plan.target, self.point, staging,
            service=self.plan.service, progress=self.progress,
        )  # fmt: skip
        staging.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(staging, self.environment.service.user, self.environment.service.user)
        staging.chmod(0o770)
        return f"{summary.files} files, {summary.bytes / 1e6:.0f} MB" if summary else "no point holds any"

    def _bring_redis(self, staging: Path, source: str) -> str:
        restore_redis(self.reader, self.point, staging, source=source)
        keys = recover_redis.make_startable(staging, self.place.work / "redis")
        return f"{keys} keys"

    def _isolated(self) -> IsolatedDatabase:
        return IsolatedDatabase(self.place, self.reader, self.point, self.plan.sources["postgres"])

    @property
    def _tablespaces(self) -> Path:
        return self.place.postgres.with_name(f"{self.place.postgres.name}.tablespaces-{self.plan.id}")

    def _start(self, role: str, answers: Callable[[], bool]) -> str:
        self.keeper.start(role)
        log = self.place.postgres.with_suffix(".log") if role == "postgres" else self.place.redis.parent / "redis.log"

        def missing() -> str | None:
            if answers():
                return None
            tail = log.read_text(errors="replace")[-400:] if log.exists() else ""
            return f"it does not answer; its log ends with: {tail}" if tail else "it does not answer"

        seconds = wait_until(missing, within=_START_SECONDS, what=role)
        return f"answers after {seconds:.1f} s"

    def _route53(self) -> Route53:
        record = self.environment.recovery.dns if self.environment.recovery else None
        if record is None:
            raise OutsideSystemError("no DNS record is named")
        return Route53(record)

    def _old_data(self, role: str) -> bool:
        folder = self.folder(role)
        return folder.exists() and not self.journal.holds(folder)


def _rename(old: Path, new: Path) -> None:
    """Rename, for good."""
    old.rename(new)
    for folder in {old.parent, new.parent}:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
