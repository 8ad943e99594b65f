"""PostgreSQL through the replication protocol: works from another host, needs no access to the data folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import zstandard

from coffer.errors import IntegrityError, OutsideSystemError
from coffer.sources.postgres.backup_tree import BackupTree
from coffer.sources.postgres.base_backup import BaseBackup
from coffer.sources.postgres.capture_choice import Capture, split_capture
from coffer.sources.postgres.direct import capture_direct
from coffer.sources.postgres.local_cluster import LocalCluster, NotLocal
from coffer.sources.postgres.manifest import BackupManifest
from coffer.sources.postgres.replication import Identity, ReplicationConnection, ServerSaid
from coffer.sources.postgres.wal import format_lsn
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.sources.postgres.wal_proof import prove_wal
from coffer.vault.capture import Fact, Kind, Parent, SourceSink

_INCREMENTAL_SINCE = 17_00_00
_OLDEST = 15_00_00
_DATA_CORRUPTED = "XX001"
_NOT_PREPARED = "55000"
_CHECKPOINT_LINE = re.compile(rb"^CHECKPOINT LOCATION: (\S+)", re.MULTILINE)
_CHECKSUM_FAILURE = re.compile(r"checksum verification failed in (?:file|block)")


class PostgresSource:
    """A PostgreSQL cluster, read through the replication protocol.

    Args:
        name: Its name inside the point.
        conninfo: How to reach it; the role needs REPLICATION. It may hold `capture=auto|direct|stream` beside libpq's
            own options.
        cluster: Name of its WAL in the vault; default: the system identifier.
        capture: `direct` reads the data folder, `stream` uses the replication protocol, `auto` takes the first that
            can be done.

    Raises:
        UsageError: There is no such capture.
    """

    def __init__(self, name: str, conninfo: str, *, cluster: str = "", capture: str = "auto") -> None:
        self._name = name
        self._conninfo, said = split_capture(conninfo)
        self._capture = Capture.parse(said or capture)
        self._cluster = cluster

    @property
    def name(self) -> str:
        """Name inside the point."""
        return self._name

    @property
    def kind(self) -> str:
        """Kind of source."""
        return "postgres"

    @property
    def conninfo(self) -> str:
        """How to reach it. Holds a password: never print it."""
        return self._conninfo

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Back it up into the sink.

        Raises:
            IntegrityError: A page's checksum is wrong, or bytes changed on their way.
            Unreachable: No server there.
            OutsideSystemError: The server refused.
        """
        try:
            with LocalCluster(self._conninfo) as cluster:
                facts = capture_direct(cluster, sink, kind, parent, name=self._name)
                return {**facts, "cluster": self._cluster or str(cluster.about.system)}
        except NotLocal:
            if self._capture is Capture.DIRECT:
                raise
        with ReplicationConnection(self._conninfo) as connection:
            if connection.server_version < _OLDEST:
                raise OutsideSystemError("PostgreSQL is too old", detail=str(connection.server_version))
            identity = connection.identify()
            manifest, reason = _usable(kind, parent, connection, identity)
            started = datetime.now(UTC)
            try:
                backup = BaseBackup(connection, label=f"coffer {self._name}", manifest=manifest)
            except ServerSaid as error:
                if manifest is None or error.sqlstate != _NOT_PREPARED:
                    raise
                manifest, reason = None, error.detail  # summaries are incomplete: nothing was sent yet
                backup = BaseBackup(connection, label=f"coffer {self._name}")
            facts = self._stream(connection, backup, sink, parent if manifest else None, identity)
            done = kind if manifest else Kind.FULL
            return {**facts, "kind": done.value, "kind_reason": reason, "started": started.isoformat()}

    def prove_wal(self, archive: WalWriter, facts: Mapping[str, Fact]) -> list[str]:
        """Make sure that the WAL of a capture is in the vault; call it before the point is committed.

        Returns:
            Names of the WAL files, all of them there.

        Raises:
            StepFailed: WAL is missing: the point must not be committed.
        """
        return prove_wal(archive, str(facts["cluster"]), facts, conninfo=self._conninfo)

    def _stream(
        self,
        connection: ReplicationConnection,
        backup: BaseBackup,
        sink: SourceSink,
        parent: Parent | None,
        identity: Identity,
    ) -> dict[str, Fact]:
        tree = BackupTree(sink, parent)
        for archive, blocks in backup.archives():
            tree.take(archive, blocks)
        try:
            stop, stop_timeline = backup.finish()
        except ServerSaid as error:
            if error.sqlstate != _DATA_CORRUPTED:
                raise
            bad = [notice for notice in connection.notices if _CHECKSUM_FAILURE.search(notice)]
            raise IntegrityError(
                "a page in the database is damaged",
                detail="; ".join(bad) or error.detail,
                resolution="Bring the relation back from the last good point; this one was not taken",
            ) from error
        manifest = BackupManifest(backup.manifest)
        manifest.check(tree.received)
        if manifest.system_identifier not in (None, identity.system):
            raise IntegrityError("the manifest belongs to another cluster", detail=str(manifest.system_identifier))
        checkpoint = _CHECKPOINT_LINE.search(tree.backup_label)
        return {
            "system_identifier": str(identity.system),
            "version": connection.server_version,
            "segment_size": identity.segment_size,
            "timeline": backup.timeline,
            "start_lsn": format_lsn(backup.start),
            "stop_lsn": format_lsn(stop),
            "stop_timeline": stop_timeline,
            "wal_ranges": [list(part) for part in manifest.wal_ranges],
            "checkpoint": checkpoint[1].decode() if checkpoint else None,
            "backup_label": tree.backup_label,
            "backup_manifest": zstandard.compress(manifest.for_incremental(), 3),
            "tablespaces": dict(backup.tablespaces),
            "cluster": self._cluster or str(identity.system),
            "stopped": datetime.now(UTC).isoformat(),
        }


def _usable(
    kind: Kind, parent: Parent | None, connection: ReplicationConnection, identity: Identity
) -> tuple[bytes | None, str]:
    """Return the parent's manifest if it can be built on, else why not."""
    if kind is Kind.FULL:
        return None, "asked for"
    if parent is None:
        return None, "no earlier point"
    if connection.server_version < _INCREMENTAL_SINCE:
        return None, "PostgreSQL before 17 has no WAL summaries"
    stored = parent.facts.get("backup_manifest")
    if not isinstance(stored, bytes):
        return None, "the earlier point has no manifest"
    if parent.facts.get("system_identifier") != str(identity.system):
        return None, "the earlier point is of another cluster"
    if connection.query("SHOW summarize_wal")[0]["summarize_wal"] != "on":
        return None, "summarize_wal is off"
    return zstandard.decompress(stored), ""
