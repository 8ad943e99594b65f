"""Proves that a service comes back: restores it in isolation to a moment, and asks it. Runs without Prefect."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from coffer.errors import CofferError, IntegrityError, NotThere, OutsideSystemError
from coffer.keys import Identity
from coffer.recovery import drill_proof, heartbeat
from coffer.recovery.questions import Answer, Questions, ask
from coffer.recovery.report import DrillReport
from coffer.recovery.restore import restore_postgres
from coffer.recovery.sabotage import HoleInTheLog, Sabotage, flip_page
from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget, TargetKind, choose_files, choose_point
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal_archive import WalReader
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.postgres.wal_proof import needed_segments
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store


@dataclass(frozen=True)
class DrillRequest:
    """What to drill, and with what.

    Attributes:
        environment: Name for the report.
        service: Whose points.
        stores: The vault's stores, in order of preference.
        identity: Identity file from escrow.
        database: Database to read heartbeat and rows from.
        target: The moment; None: drawn from the window by `seed`.
        seed: Seed of everything that is drawn.
        questions: How to ask the service; without an image, the one that the point names. None: only the database is
            asked.
        sabotage: What to damage on purpose.
        directory: Where to make the scratch folder.
        postgres: Name of the cluster in the point.
        files: Name of the files in the point.
        rto: Promised recovery time.
        rpo: Promised age of what comes back.
        timeout: Seconds for replay, and for pg_amcheck.
        root: Fingerprint of the vault's root key from the recovery kit.
    """

    environment: str
    service: str
    stores: Sequence[Store]
    identity: Path
    database: str
    target: RestoreTarget | None = None
    seed: int = 0
    questions: Questions | None = None
    sabotage: Sabotage | None = None
    directory: Path | None = None
    postgres: str = "postgres"
    files: str = "files"
    rto: timedelta = timedelta(minutes=15)
    rpo: timedelta = timedelta(hours=4)
    timeout: float = 900
    root: str | None = None


def run_drill(request: DrillRequest, *, log: Callable[[str], None] = lambda line: None) -> DrillReport:
    """Drill, and report; a drill that finds damage is a result, not an error. Nothing is left but a proof.

    Args:
        request: What to drill.
        log: Called with a line as each phase begins.
    """
    report = DrillReport(
        request.environment,
        request.service,
        seed=request.seed if request.target is None else None,
        sabotage=request.sabotage or "",
        rto_promise=request.rto.total_seconds(),
        rpo_promise=request.rpo.total_seconds(),
    )
    drill = _Drill(request, report, log)
    try:
        drill.run()
    except CofferError as error:
        report.fail("the way back", error)
    except (psycopg.Error, OSError) as error:
        report.fail("the way back", OutsideSystemError("the restored cluster failed", detail=str(error)))
    if drill.chosen is not None:
        drill_proof.keep(*drill.chosen, report, log)
    return report


class _Drill:
    def __init__(self, request: DrillRequest, report: DrillReport, log: Callable[[str], None]) -> None:
        self.request, self.report, self.log = request, report, log
        self.questions = request.questions
        self.files: Point | None = None
        self.chosen: tuple[VaultReader, Point] | None = None

    def run(self) -> None:
        request, report = self.request, self.report
        self.log("opening the vault with the key from escrow")
        with report.phase("open vault, choose point"):
            reader = self._open()
            points = reader.points(request.service)
            target = request.target or draw_target(points, request.postgres, request.seed)
            report.target = str(target)
            point = choose_point(points, request.postgres, target)
            report.point = point.name
            self.chosen = (reader, point)
            self.questions = with_image(request.questions, point, points)
            self.files = choose_files(points, request.files, target, point)
        with Scratch(request.directory) as scratch:
            self._bring_back(reader, point, target, scratch)
            self._prove(target, scratch)

    def _open(self) -> VaultReader:
        identity = Identity.load(self.request.identity)
        if self.request.sabotage is Sabotage.WRONG_KEY:
            identity = Identity.generate()
        return VaultReader.open(self.request.stores, identity, root=self.request.root)

    def _bring_back(self, reader: VaultReader, point: Point, target: RestoreTarget, scratch: Scratch) -> None:
        request, report = self.request, self.report
        facts = reader.facts(point, request.postgres)
        cluster, size = str(facts["cluster"]), int(str(facts["segment_size"]))
        wal: WalReader = reader
        if request.sabotage is Sabotage.MISSING_SEGMENT:
            first = needed_segments(facts)[0].name
            wal = hole = HoleInTheLog(reader, cluster, first, middle=target.kind is TargetKind.LATEST)
            report.sabotage += f" {hole.hidden}"
        system = str(facts["system_identifier"])
        fetcher = WalFetcher(wal, cluster, system=system, segment_size=size)
        with WalServer(fetcher, scratch.folder / "wal", scratch.user, segment_size=size) as server:
            self.log(f"restoring {point.name}")
            with report.phase("restore database"):
                restored = restore_postgres(
                    reader, point, scratch.data, target, restore_command=server.restore_command,
                    source=request.postgres, user=scratch.user, wal=wal,
                )  # fmt: skip
                report.restored_bytes += restored.summary.bytes
            if self.files is not None:
                with report.phase("restore files"):
                    report.restored_bytes += reader.restore(self.files, request.files, scratch.uploads).bytes
                    scratch.uploads.chmod(0o755)
            self.log(f"replaying to {target}")
            with report.phase("replay, promote"):
                scratch.replay(server, timeout=request.timeout)
            report.wal_files = len(set(server.served))

    def _prove(self, target: RestoreTarget, scratch: Scratch) -> None:
        request, report = self.request, self.report
        if request.sabotage is Sabotage.FLIPPED_PAGE:
            report.sabotage += f" {flip_page(scratch, request.database, request.seed)}"
        with report.phase("first answer"):
            if self.questions is not None:
                answered = report.check("the service's own questions", lambda: self._ask(scratch))
            else:
                answered = report.check("the database answers", lambda: self._read_one(scratch))
        if answered:
            report.rto_seconds = report.elapsed
        self.log("checking every table, index and row")
        with report.phase("read every row", counts=False):
            report.check("every row of every table reads", lambda: self._count(scratch))
        with report.phase("pg_amcheck", counts=False):
            report.check("pg_amcheck", lambda: scratch.amcheck(timeout=request.timeout))
        report.check("nothing newer than the moment, heartbeat found", lambda: self._measure(target, scratch))
        report.check("promises", self._compare)

    def _ask(self, scratch: Scratch) -> str:
        questions = self.questions
        if questions is None:
            raise NotThere("no questions were given")
        password = scratch.give_password(questions.role)
        uploads = scratch.uploads if scratch.uploads.exists() else None
        answer = ask(questions, sockets=scratch.sockets, port=scratch.port, password=password, uploads=uploads)
        self.report.facts = dict(answer.facts)
        if not answer.ok:
            raise IntegrityError("the service says that its data is wrong", detail="; ".join(answer.wrong))
        return _said(answer)

    def _read_one(self, scratch: Scratch) -> str:
        with scratch.server.connect(self.request.database) as connection:
            row = connection.execute("SELECT count(*) FROM pg_tables").fetchone()
        return f"{row[0] if row else 0} tables"

    def _count(self, scratch: Scratch) -> str:
        self.report.rows = scratch.count_rows(self.request.database)
        return f"{sum(self.report.rows.values())} rows in {len(self.report.rows)} tables"

    def _measure(self, target: RestoreTarget, scratch: Scratch) -> str:
        moment = target.time or self.report.started
        with scratch.server.connect(self.request.database) as connection:
            beat = heartbeat.newest(connection)
        if target.kind is TargetKind.LATEST or target.time is not None:
            self.report.rpo_seconds["database"] = (moment - beat).total_seconds()
            if self.files is not None:
                self.report.rpo_seconds["files"] = max(0.0, (moment - self.files.started).total_seconds())
        if beat > moment:
            raise IntegrityError("a heartbeat is newer than the moment", detail=f"{beat} is after {moment}")
        return f"newest heartbeat {beat.astimezone(UTC):%H:%M:%S.%f} UTC"

    def _compare(self) -> str:
        report = self.report
        lost = report.rpo_seconds.items()
        late = [f"{part} {seconds:.0f} s" for part, seconds in lost if seconds > report.rpo_promise]
        if report.rto_seconds is not None and report.rto_seconds > report.rto_promise:
            late.append(f"recovery took {report.rto_seconds:.0f} s")
        if late:
            raise OutsideSystemError("a promise was broken", detail=", ".join(late))
        return f"recovery within {report.rto_promise:.0f} s, nothing older than {report.rpo_promise:.0f} s"


def with_image(questions: Questions | None, point: Point, points: Sequence[Point]) -> Questions | None:
    """Return the questions with the image that ran when a point was taken, or in the newest point that names one.

    Nothing without an image: where none ever ran, the database alone can be asked.
    """
    if questions is None or questions.image:
        return questions
    named = [str(image) for each in (*points, point) if (image := each.facts.get("image"))]
    return replace(questions, image=named[-1]) if named else None


def draw_target(points: Sequence[Point], source: str, seed: int) -> RestoreTarget:
    """Draw a moment from the window that points cover: between the first one's end and the last one's begin.

    With a single point the window is what its log holds; then the end of the log is taken.

    Raises:
        NotThere: No point holds the source.
    """
    holding = [(point, held.facts) for point in points if (held := point.source(source)) is not None]
    if not holding:
        raise NotThere(f"no point holds {source}", resolution="Take one with `coffer backup`")
    first = datetime.fromisoformat(str(holding[0][1]["stopped"]))
    last = holding[-1][0].started
    if last <= first:
        return RestoreTarget()
    drawn = random.Random(seed).uniform(0, (last - first).total_seconds())  # noqa: S311 - a reproducible draw
    return RestoreTarget.at_time(first + timedelta(seconds=drawn))


def _said(answer: Answer) -> str:
    numbers = ", ".join(f"{name} {value}" for name, value in answer.facts.items() if value is not None)
    return f"{len(answer.questions)} asked, all yes; {numbers}"
