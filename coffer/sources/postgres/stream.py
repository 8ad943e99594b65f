"""Capture through the replication protocol: from another host, without access to the data folder."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import zstandard

from coffer.errors import IntegrityError, OutsideSystemError
from coffer.sources.postgres import bad_pages
from coffer.sources.postgres.backup_tree import BackupTree
from coffer.sources.postgres.base_backup import BaseBackup
from coffer.sources.postgres.manifest import BackupManifest
from coffer.sources.postgres.replication import Identity, ReplicationConnection, ServerSaid
from coffer.sources.postgres.wal import format_lsn
from coffer.vault.capture import Fact, Kind, Parent, SourceSink

_INCREMENTAL_SINCE = 17_00_00
_OLDEST = 15_00_00
_NOT_PREPARED = "55000"
_CHECKPOINT_LINE = re.compile(rb"^CHECKPOINT LOCATION: (\S+)", re.MULTILINE)


def capture_stream(conninfo: str, sink: SourceSink, kind: Kind, parent: Parent | None, *, name: str) -> dict[str, Fact]:
    """Back a cluster up into the sink.

    Raises:
        IntegrityError: Bytes changed on their way.
        Unreachable: No server there.
        OutsideSystemError: The server refused.
    """
    with ReplicationConnection(conninfo) as connection:
        if connection.server_version < _OLDEST:
            raise OutsideSystemError("PostgreSQL is too old", detail=str(connection.server_version))
        identity = connection.identify()
        manifest, reason = _usable(kind, parent, connection, identity)
        started = datetime.now(UTC)
        try:
            backup = BaseBackup(connection, label=f"coffer {name}", manifest=manifest)
        except ServerSaid as error:
            if manifest is None or error.sqlstate != _NOT_PREPARED:
                raise
            manifest, reason = None, error.detail  # summaries are incomplete: nothing was sent yet
            backup = BaseBackup(connection, label=f"coffer {name}")
        facts = _take(connection, backup, sink, parent if manifest else None, identity)
        done = kind if manifest else Kind.FULL
        return {**facts, "kind": done.value, "kind_reason": reason, "started": started.isoformat()}


def _take(
    connection: ReplicationConnection, backup: BaseBackup, sink: SourceSink, parent: Parent | None, identity: Identity
) -> dict[str, Fact]:
    tree = BackupTree(sink, parent)
    for archive, blocks in backup.archives():
        tree.take(archive, blocks)
    stop, stop_timeline = backup.finish()
    manifest = BackupManifest(backup.manifest)
    manifest.check(tree.received)
    if manifest.system_identifier not in (None, identity.system):
        raise IntegrityError("the manifest belongs to another cluster", detail=str(manifest.system_identifier))
    checkpoint = _CHECKPOINT_LINE.search(tree.backup_label)
    bad = [*tree.still_bad, *bad_pages.from_warnings(connection.notices)] if backup.found_damage else tree.still_bad
    return {
        "capture": "stream",
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
        "stopped": datetime.now(UTC).isoformat(),
        **bad_pages.facts_of(bad, {}, uncounted=backup.found_damage and not bad),
    }


def _usable(
    kind: Kind, parent: Parent | None, connection: ReplicationConnection, identity: Identity
) -> tuple[bytes | None, str]:
    """Return the parent's manifest if it can be built on, else why not."""
    if kind is Kind.FULL:
        return None, "asked for"
    if parent is None:
        return None, "no earlier point"
    if parent.is_worn:
        return None, "a restore would read too much in vain"
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
