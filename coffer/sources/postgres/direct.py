"""Capture on the database's own host: the data folder itself is read in parallel, in backup mode."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from datetime import UTC, datetime

from coffer.sources.postgres.bad_pages import BadPage, facts_of
from coffer.sources.postgres.changed_tree import ChangedTree
from coffer.sources.postgres.data_folder import CONTROL_FILE, DataFolder, Found
from coffer.sources.postgres.direct_parent import choose, state_facts
from coffer.sources.postgres.direct_tree import DirectTree, entry_of, made_file
from coffer.sources.postgres.folder_reader import FolderReader
from coffer.sources.postgres.local_cluster import LocalCluster, Stopped
from coffer.sources.postgres.page_reader import PageReader
from coffer.sources.postgres.relation_names import relation_names
from coffer.sources.postgres.wal import format_lsn
from coffer.vault.capture import Fact, Kind, Parent, SourceSink

_CHECKPOINT_LINE = re.compile(rb"^CHECKPOINT LOCATION: (\S+)", re.MULTILINE)


def capture_direct(
    cluster: LocalCluster, sink: SourceSink, kind: Kind, parent: Parent | None, *, name: str
) -> dict[str, Fact]:
    """Back a cluster up into the sink.

    Returns:
        The facts, as `stream` leaves them, too.

    Raises:
        NotAllowed: A file may not be read.
        OutsideSystemError: The server or the file system failed.
    """
    started = datetime.now(UTC)
    start, timeline = cluster.start(f"coffer {name}")
    folder = DataFolder(cluster.about.data, cluster.about.version // 10_000)
    reader = PageReader(FolderReader(folder.root), start, checks=cluster.about.checksums)
    state = state_facts(cluster)
    chooser, reason = choose(cluster, kind, parent, start, timeline, state)
    if chooser is None or parent is None:
        DirectTree(sink, reader).take(folder.scan())
    else:
        ChangedTree(sink, reader, parent, chooser).take(folder.scan())
    sink.wait_read()
    control = _control(cluster)
    sink.add_file(entry_of(control), [cluster.control_file()])  # last, as upstream does
    stopped = cluster.stop()
    _add_label(sink, stopped, control)
    checkpoint = _CHECKPOINT_LINE.search(stopped.label)
    notes: list[Fact] = list(folder.notes)
    return {
        "kind": (kind if chooser else Kind.FULL).value,
        "kind_reason": reason,
        "capture": "direct",
        "changed_by": chooser.how if chooser else None,
        "started": started.isoformat(),
        "stopped": datetime.now(UTC).isoformat(),
        "system_identifier": str(cluster.about.system),
        "version": cluster.about.version,
        "segment_size": cluster.about.segment_size,
        "timeline": timeline,
        "start_lsn": format_lsn(start),
        "stop_lsn": format_lsn(stopped.position),
        "stop_timeline": timeline,
        "wal_ranges": [[timeline, format_lsn(start), format_lsn(stopped.position)]],
        "checkpoint": checkpoint[1].decode() if checkpoint else None,
        "backup_label": stopped.label,
        "tablespaces": _facts(cluster.tablespaces()),
        "checksums": cluster.about.checksums,
        **state,
        **_damage(cluster, reader.bad(stopped.position)),
        "notes": notes,
    }


def _control(cluster: LocalCluster) -> Found:
    status = (cluster.about.data / os.fsdecode(CONTROL_FILE)).stat()
    mode = stat.S_IMODE(status.st_mode)
    return Found(CONTROL_FILE, True, mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns)


def _add_label(sink: SourceSink, stopped: Stopped, like: Found) -> None:
    sink.add_file(made_file(b"backup_label", like), [stopped.label])
    if stopped.tablespace_map:
        sink.add_file(made_file(b"tablespace_map", like), [stopped.tablespace_map])


def _damage(cluster: LocalCluster, bad: list[BadPage]) -> dict[str, Fact]:
    return facts_of(bad, relation_names(cluster, {page.path for page in bad})) if bad else {}


def _facts(mapping: Mapping[str, str]) -> dict[str, Fact]:
    return dict(mapping)
