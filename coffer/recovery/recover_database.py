"""Brings the database to its moment at its own place, where nobody can reach it until it is there."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from psycopg import sql

from coffer.errors import NotInEveryStore, NotThere, OutsideSystemError, StepFailed
from coffer.recovery import heartbeat, recover_keeper
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.replaying import ISOLATED, replay
from coffer.recovery.restore import restore_postgres
from coffer.recovery.target import RestoreTarget
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.server import PostgresServer
from coffer.sources.postgres.wal import is_segment
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.sources.postgres.wal_push import WalPusher
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader
from coffer.vault.restoring import RestoreSummary

_SOCKET_PORT = 5432
# Settings that only the recovery needed: a later start must not find the way to a log server that is gone.
_RECOVERY_SETTINGS = (
    "restore_command", "recovery_target", "recovery_target_time", "recovery_target_lsn", "recovery_target_name",
    "recovery_target_inclusive", "recovery_target_timeline", "recovery_target_action", "recovery_prefetch",
)  # fmt: skip


@dataclass(frozen=True)
class Replayed:
    """What a replay reached.

    Attributes:
        timeline: The new timeline.
        lsn: Where it stands.
        heartbeat: Newest heartbeat, ISO 8601; empty if there is none.
        wal_files: Files of the log that were brought.
        shipped: What became of the new timeline's first segments, for people.
    """

    timeline: int
    lsn: str
    heartbeat: str
    wal_files: int = 0
    shipped: str = "its first segments are not in the vault: there is no writer here"

    def __str__(self) -> str:
        """Return it for people."""
        beat = f", newest heartbeat {self.heartbeat[11:23]} UTC" if self.heartbeat else ""
        return f"{self.wal_files} log files, timeline {self.timeline} at {self.lsn}{beat}; {self.shipped}"


class IsolatedDatabase:
    """A cluster at its place, run by us on a socket of our own while it replays.

    Args:
        place: Where.
        reader: The vault.
        point: Where it comes from.
        source: Its name inside the point.
    """

    def __init__(self, place: RecoveryPlace, reader: VaultReader, point: Point, source: str) -> None:
        self._place, self._reader, self._point, self._source = place, reader, point, source
        facts = reader.facts(point, source)
        self._cluster, self._system = str(facts["cluster"]), str(facts["system_identifier"])
        self._segment = int(str(facts["segment_size"]))
        self._work = place.work / "replay"

    def restore(
        self, staging: Path, tablespaces: Path, target: RestoreTarget, progress: Progress | None
    ) -> RestoreSummary:
        """Restore the cluster into a folder that is ours alone; raises as `restore_postgres` does."""
        restored = restore_postgres(
            self._reader,
            self._point,
            staging,
            target,
            restore_command=self._wal().restore_command,
            source=self._source,
            user=self._place.postgres_user,
            tablespaces=tablespaces,
            progress=progress,
        )
        return restored.summary

    def replay(self, database: str, timeout: float, archive: WalWriter | None = None) -> Replayed:
        """Replay to the target, promote, strike out what only that needed, and stop; harmless when repeated.

        Args:
            database: Where the heartbeat is looked for; empty for nowhere.
            timeout: Seconds.
            archive: Takes the new timeline's first segments; a later restore would find a hole where it left the old.

        Raises:
            IntegrityError: The log has a hole, or is not what was written.
            NotThere: The log ends before the moment.
            StepFailed: PostgreSQL ended or took too long.
        """
        if (left := recover_keeper.postmaster(self._place)) is not None:
            recover_keeper.end(left, signal.SIGINT)  # from an attempt that was killed
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._work.chmod(0o711)
        server, wal = self._server(), self._wal()
        server.configure_access(self._work)
        with wal:
            try:
                replay(server, wal, timeout=timeout)
                finished = self._finish(server, database)
                if archive is not None:
                    finished = replace(finished, shipped=self._ship_fork(server, archive, finished.timeline))
            finally:
                server.stop()
        shutil.rmtree(self._work)
        return replace(finished, wal_files=len(set(wal.served)))

    def _finish(self, server: PostgresServer, database: str) -> Replayed:
        with server.connect() as connection:
            for name in _RECOVERY_SETTINGS:
                connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            row = connection.execute("SELECT timeline_id, pg_current_wal_lsn()::text FROM pg_control_checkpoint()")
            found = row.fetchone()
        if found is None:
            raise StepFailed("the recovered cluster does not say where it is")
        return Replayed(int(found[0]), str(found[1]), _heartbeat(server, database))

    def _ship_fork(self, server: PostgresServer, archive: WalWriter, timeline: int) -> str:
        """Put what the new timeline wrote so far into the vault; that a store is away stops no recovery."""
        with server.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")
            row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
        current = str(row[0]) if row else ""
        pusher = WalPusher(archive, cluster=self._cluster, system=self._system)
        names = sorted(path.name for path in (self._place.postgres / "pg_wal").iterdir() if is_segment(path.name))
        wanted = [name for name in names if name.startswith(f"{timeline:08X}") and name < current]
        try:
            for name in wanted:
                pusher.push(self._place.postgres / "pg_wal" / name)
        except (NotInEveryStore, OutsideSystemError) as error:
            return f"its first segments are not in every store: {error.summary}"
        return f"its first {len(wanted)} segments are in the vault"

    def _server(self) -> PostgresServer:
        rules = {"hba_file": str(self._work / "pg_hba.conf"), "ident_file": str(self._work / "pg_ident.conf")}
        server = PostgresServer(
            self._place.postgres,
            port=_SOCKET_PORT,
            socket_dir=self._work / "s",
            user=self._place.postgres_user,
            installation=self._place.programs,
            overrides={**ISOLATED, **rules},
        )
        server.log = self._work / "postgres.log"  # stays where it is when a replay fails
        return server

    def _wal(self) -> WalServer:
        fetcher = WalFetcher(self._reader, self._cluster, system=self._system, segment_size=self._segment)
        # A name that stays the same: PostgreSQL's settings hold it, and an attempt that was killed is gone on with.
        return WalServer(fetcher, self._work / "wal", self._place.postgres_user, segment_size=self._segment)


def _heartbeat(server: PostgresServer, database: str) -> str:
    if not database:
        return ""
    try:
        with server.connect(database) as connection:
            return heartbeat.newest(connection).astimezone(UTC).isoformat()
    except NotThere:
        return ""
