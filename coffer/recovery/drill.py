"""Proves that a service comes back: restores it in isolation to a moment, and asks it. Runs without Prefect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from coffer.errors import CofferError, OutsideSystemError
from coffer.recovery import drill_checks as checks
from coffer.recovery import drill_proof
from coffer.recovery.drill_opening import damage_content, open_vault
from coffer.recovery.drill_redis import keys_are_there
from coffer.recovery.drill_restoring import BroughtBack, Wanted, bring_back
from coffer.recovery.isolation import Isolation, isolation
from coffer.recovery.moments import draw_target, newest_commit
from coffer.recovery.questions import Questions, ask
from coffer.recovery.report import DrillReport
from coffer.recovery.sabotage import Sabotage, drop_table, flip_page, remove_file
from coffer.recovery.scratch import Scratch
from coffer.recovery.table_names import expected
from coffer.recovery.target import RestoreTarget, TargetKind, choose_point
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store

__all__ = ["DrillRequest", "draw_target", "run_drill", "with_image"]
_STALE_BY = timedelta(hours=1)


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
        redis: Name of the Redis in the point.
        rto: Promised recovery time.
        rpo: Promised age of what comes back.
        timeout: Seconds for replay, and for pg_amcheck.
        root: Fingerprint of the vault's root key from the recovery kit.
        hidden: Folders with production's sockets, which nothing restored may see.
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
    redis: str = "redis"
    rto: timedelta = timedelta(minutes=15)
    rpo: timedelta = timedelta(hours=4)
    timeout: float = 900
    root: str | None = None
    hidden: tuple[Path, ...] = ()


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
        report.trend = drill_proof.trend_with(drill.chosen[0], report, log)
    return report


class _Drill:
    def __init__(self, request: DrillRequest, report: DrillReport, log: Callable[[str], None]) -> None:
        self.request, self.report, self.log = request, report, log
        self.chosen: tuple[VaultReader, Point] | None = None

    def run(self) -> None:
        request, report = self.request, self.report
        self.log("opening the vault with the key from escrow")
        with report.phase("open vault, choose point"):
            reader = open_vault(
                request.stores, request.identity, request.root, request.service, sabotage=request.sabotage,
                report=report,
            )  # fmt: skip
            points = reader.points(request.service)
        with report.phase("find the end of the log", counts=False):
            report.newest = self._newest(reader, points)
        with report.phase("draw a moment, choose point"):
            target = request.target or draw_target(points, request.postgres, request.seed, report.newest)
            report.target = str(target)
            point = choose_point(points, request.postgres, target)
            report.point = point.name
            self.chosen = (reader, point)
        source = damage_content(
            reader, request.stores, request.identity, request.root, point, sabotage=request.sabotage, report=report
        )
        with Scratch(request.directory) as scratch, ExitStack() as running:
            cut_off = isolation(scratch.user, scratch.folder, request.hidden)
            scratch.server.wrapper, report.isolation = cut_off.wrapper, cut_off.detail
            wanted = Wanted(request.service, request.postgres, request.files, request.redis, target, request.timeout)
            back = bring_back(
                source, points, point, wanted, scratch, running, report, self.log,
                hole=request.sabotage is Sabotage.MISSING_SEGMENT,
            )  # fmt: skip
            self._sabotage(scratch)
            self._prove(points, point, target, scratch, back, cut_off)

    def _newest(self, reader: VaultReader, points: Sequence[Point]) -> datetime | None:
        """Return the newest moment that could be brought back: the last commit in the log."""
        held = [source.facts for point in points if (source := point.source(self.request.postgres)) is not None]
        return newest_commit(reader, held[-1], self.log) if held else None

    def _sabotage(self, scratch: Scratch) -> None:
        request = self.request
        if request.sabotage is Sabotage.FLIPPED_PAGE:
            self.report.sabotage += f" {flip_page(scratch, request.database, request.seed)}"
        if request.sabotage is Sabotage.DROPPED_TABLE:
            self.report.sabotage += f" {drop_table(scratch, request.database)}"
        if request.sabotage is Sabotage.MISSING_FILE:
            self.report.sabotage += f" {remove_file(scratch.uploads, request.seed)}"

    def _prove(
        self,
        points: Sequence[Point],
        point: Point,
        target: RestoreTarget,
        scratch: Scratch,
        back: BroughtBack,
        cut_off: Isolation,
    ) -> None:
        request, report = self.request, self.report
        questions = with_image(request.questions, point, points)
        with report.phase("first answer"):
            if questions is not None:
                asked = questions
                answered = report.check("the service's own questions", lambda: self._ask(asked, scratch, back))
            else:
                answered = report.check("the database answers", lambda: self._read_one(scratch))
        if answered:
            report.rto_seconds = report.elapsed_counted
        self.log("checking every table, index, row and file")
        tables = expected(points, point, request.postgres, request.database)
        report.check("every table is there", lambda: checks.tables_are_there(scratch, request.database, tables))
        if back.files:
            report.check("every file is there", lambda: checks.files_are_there(scratch.uploads, back.files))
        if back.redis is not None:
            kept = back.redis
            report.check("every key of Redis is there", lambda: keys_are_there(kept.socket, kept.facts))
        with report.phase("read every row", counts=False):
            report.check("every row of every table reads", lambda: self._count(scratch))
        with report.phase("pg_amcheck", counts=False):
            report.check("pg_amcheck", lambda: scratch.amcheck(timeout=request.timeout))
        report.check("nothing newer than the moment, heartbeat found", lambda: self._measure(target, scratch, back))
        report.check("nothing of production is in reach", lambda: checks.cut_off(scratch, cut_off))
        newest = max(filter(None, (report.newest, points[-1].started)))
        report.check("a disaster now", lambda: checks.vault_is_fresh(newest, self._now(), report.rpo_promise))
        report.check("promises", lambda: checks.promises_are_kept(report))

    def _now(self) -> datetime:
        stale = self.request.rpo + _STALE_BY if self.request.sabotage is Sabotage.STALE_POINT else timedelta()
        return datetime.now(UTC) + stale

    def _ask(self, questions: Questions, scratch: Scratch, back: BroughtBack) -> str:
        password = scratch.give_password(questions.role)
        uploads = scratch.uploads if scratch.uploads.exists() else None
        answer = ask(
            questions, sockets=scratch.sockets, port=scratch.port, password=password, uploads=uploads,
            redis=back.redis.socket.parent if back.redis else None,
        )  # fmt: skip
        self.report.facts = dict(answer.facts)
        return checks.said_yes(answer)

    def _read_one(self, scratch: Scratch) -> str:
        with scratch.server.connect(self.request.database) as connection:
            row = connection.execute("SELECT count(*) FROM pg_tables").fetchone()
        return f"{row[0] if row else 0} tables"

    def _count(self, scratch: Scratch) -> str:
        self.report.rows = scratch.count_rows(self.request.database)
        return f"{sum(self.report.rows.values())} rows in {len(self.report.rows)} tables"

    def _measure(self, target: RestoreTarget, scratch: Scratch, back: BroughtBack) -> str:
        """Measure what was lost, of each part apart: the age of the newest that came back, at the moment."""
        report = self.report
        text, beat = checks.heartbeat_fits(scratch, self.request.database, target.time, report.started)
        if target.kind is TargetKind.LATEST or target.time is not None:
            moment = target.time or report.started
            report.rpo_seconds["database"] = (moment - beat).total_seconds()
            for part, at in (("files", back.files_at), ("redis", back.redis.at if back.redis else None)):
                if at is not None:
                    report.rpo_seconds[part] = max(0.0, (moment - at).total_seconds())
        return text


def with_image(questions: Questions | None, point: Point, points: Sequence[Point]) -> Questions | None:
    """Return the questions with the image that ran when a point was taken, or in the newest point that names one.

    Nothing without an image: where none ever ran, the database alone can be asked.
    """
    if questions is None or questions.image:
        return questions
    named = [str(image) for each in (*points, point) if (image := each.facts.get("image"))]
    return replace(questions, image=named[-1]) if named else None
