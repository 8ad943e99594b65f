"""Brings everything of a service back into a scratch folder, and times it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coffer.recovery.drill_checks import inventory
from coffer.recovery.drill_redis import redis_on
from coffer.recovery.report import REPLAY, RESTORES, DrillReport
from coffer.recovery.restore import restore_postgres
from coffer.recovery.restore_files import restore_files
from coffer.recovery.restore_redis import restore_redis
from coffer.recovery.sabotage import HoleInTheLog
from coffer.recovery.scratch import Scratch
from coffer.recovery.target import RestoreTarget, TargetKind, choose_files
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal import is_segment
from coffer.sources.postgres.wal_archive import WalReader
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.postgres.wal_proof import needed_segments
from coffer.vault.capture import Fact
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader

_DATABASE, _FILES, _REDIS = RESTORES


@dataclass(frozen=True)
class Wanted:
    """What to bring back.

    Attributes:
        service: Whose.
        postgres: Name of the cluster in the points.
        files: Name of the files.
        redis: Name of the Redis.
        target: The moment.
        timeout: Seconds for the replay.
    """

    service: str
    postgres: str
    files: str
    redis: str
    target: RestoreTarget
    timeout: float


@dataclass(frozen=True)
class RunningRedis:
    """A Redis that runs on what came back.

    Attributes:
        socket: Where it is reached.
        facts: What the capture remembered of it.
        at: When its data was read.
    """

    socket: Path
    facts: Mapping[str, Fact]
    at: datetime


@dataclass(frozen=True)
class BroughtBack:
    """What is there now, beside the database.

    Attributes:
        files: Size of each file that must be there.
        files_at: When the files were read; None without any.
        redis: The Redis; None where no point holds one.
    """

    files: Mapping[str, int]
    files_at: datetime | None
    redis: RunningRedis | None


def bring_back(
    reader: VaultReader,
    points: Sequence[Point],
    point: Point,
    wanted: Wanted,
    scratch: Scratch,
    running: ExitStack,
    report: DrillReport,
    log: Callable[[str], None],
    *,
    hole: bool = False,
) -> BroughtBack:
    """Restore files, Redis and database, and replay the log; each a phase of the report.

    Args:
        reader: The vault.
        points: The service's points, oldest first.
        point: From which one.
        wanted: What and to when.
        scratch: Where to.
        running: Ends what is started here.
        report: Gets phases and numbers.
        log: Called with a line as each begins.
        hole: Hide one segment of the log.

    Raises:
        CofferError: Something does not come back.
    """
    facts = reader.facts(point, wanted.postgres)
    cluster, size = str(facts["cluster"]), int(str(facts["segment_size"]))
    wal: WalReader = reader
    if hole:
        first = needed_segments(facts)[0].name
        wal = hidden = HoleInTheLog(reader, cluster, first, middle=wanted.target.kind is TargetKind.LATEST)
        report.sabotage += f" {hidden.hidden}"
    fetcher = WalFetcher(wal, cluster, system=str(facts["system_identifier"]), segment_size=size)
    with WalServer(fetcher, scratch.folder / "wal", scratch.user, segment_size=size) as server:
        log(f"restoring {point.name}")
        with report.phase(_DATABASE):
            restored = restore_postgres(
                reader, point, scratch.data, wanted.target, restore_command=server.restore_command,
                source=wanted.postgres, user=scratch.user, wal=wal,
            )  # fmt: skip
            report.restored_bytes += restored.summary.bytes
        files, files_at = _files(reader, points, point, wanted, scratch, report)
        redis = _redis(reader, points, point, wanted, scratch, running, report)
        log(f"replaying to {wanted.target}")
        with report.phase(REPLAY):
            scratch.replay(server, timeout=wanted.timeout)
        replayed = {name for name in server.served if is_segment(name)}
        report.wal_files, report.wal_bytes = len(set(server.served)), len(replayed) * size
    return BroughtBack(files, files_at, redis)


def _files(
    reader: VaultReader,
    points: Sequence[Point],
    point: Point,
    wanted: Wanted,
    scratch: Scratch,
    report: DrillReport,
) -> tuple[Mapping[str, int], datetime | None]:
    chosen = choose_files(points, wanted.files, wanted.target, point)
    if chosen is None:
        return {}, None
    with report.phase(_FILES):
        summary = restore_files(
            reader, points, wanted.files, wanted.target, point, scratch.uploads, service=wanted.service
        )
        scratch.uploads.chmod(0o755)
    report.restored_bytes += summary.bytes if summary else 0
    # What the restore wrote was hashed on its way; from here on nothing of it may go.
    return inventory(scratch.uploads), chosen.started


def _redis(
    reader: VaultReader,
    points: Sequence[Point],
    point: Point,
    wanted: Wanted,
    scratch: Scratch,
    running: ExitStack,
    report: DrillReport,
) -> RunningRedis | None:
    """Bring back the newest Redis that was read before the moment: it has no log that could be replayed to it."""
    chosen = choose_redis(points, wanted.redis, wanted.target, point)
    if chosen is None:
        return None
    with report.phase(_REDIS):
        restored = restore_redis(reader, chosen, scratch.folder / "redis", source=wanted.redis)
        report.restored_bytes += restored.summary.bytes
        socket = scratch.folder / "r" / "redis.sock"
        running.enter_context(redis_on(restored.data, socket, user=scratch.user, wrapper=scratch.server.wrapper))
    taken = restored.facts.get("taken")
    at = datetime.fromtimestamp(taken, UTC) if isinstance(taken, int) and not isinstance(taken, bool) else None
    return RunningRedis(socket, restored.facts, at or chosen.started)


def choose_redis(points: Sequence[Point], source: str, target: RestoreTarget, point: Point) -> Point | None:
    """Return the point whose Redis belongs to a moment, or None where none holds one that was read before it."""
    holding = [each for each in points if each.source(source) is not None]
    if target.time is not None:
        holding = [each for each in holding if each.finished <= target.time]
    elif target.kind is not TargetKind.LATEST:
        holding = [each for each in holding if each.counter <= point.counter]
    return holding[-1] if holding else None
