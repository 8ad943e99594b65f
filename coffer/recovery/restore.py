"""Brings a PostgreSQL cluster back into an empty folder, ready to replay its log up to a moment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import IntegrityError, UnsafeTarget
from coffer.recovery.stopped_cluster import StoppedCluster
from coffer.recovery.tablespaces import TABLESPACES, restore_tablespace
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.programs import own
from coffer.sources.postgres.wal_archive import WalReader
from coffer.sources.postgres.wal_proof import needed_names
from coffer.vault.capture import Fact
from coffer.vault.points import Point
from coffer.vault.reader import Progress, VaultReader
from coffer.vault.restoring import RestoreSummary

CONTROL_FILE = b"global/pg_control"
# Settings of an earlier recovery, and of what the original was a standby of, would fight with ours.
_STALE = re.compile(r"\s*(recovery_\w+|restore_command|archive_cleanup_command|primary_\w+|promote_trigger_file)\s*=")
_MINIMAL = "# The original kept its configuration outside its data folder.\n"


@dataclass(frozen=True)
class RestoredCluster:
    """What a restore left.

    Attributes:
        data: The data folder.
        point: Where it came from.
        facts: What the capture remembered.
        target: The moment it will be brought to.
        summary: Numbers of the copy.
    """

    data: Path
    point: Point
    facts: Mapping[str, Fact]
    target: RestoreTarget
    summary: RestoreSummary


def restore_postgres(
    reader: VaultReader,
    point: Point,
    destination: Path,
    target: RestoreTarget,
    *,
    restore_command: str,
    source: str = "postgres",
    user: str | None = None,
    tablespaces: Path | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    wal: WalReader | None = None,
    delta: bool = False,
) -> RestoredCluster:
    """Restore a cluster; starting PostgreSQL on it replays the log and promotes at the target.

    Args:
        reader: The vault.
        point: Where to begin.
        destination: A folder that is empty or does not exist.
        target: The moment.
        restore_command: Shell line that brings WAL; see `restore_command.coffer_wal_fetch`.
        source: Name of the cluster inside the point.
        user: Account that will run it; gets everything. Default: the owners stay as they were.
        tablespaces: Folder for the tablespaces, each under its OID. Default: `NAME.tablespaces` beside the folder.
        settings: More recovery settings, for instance `recovery_target_inclusive`.
        progress: Called with bytes done and bytes in all.
        wal: Where the log is, if not in the same vault.
        delta: The folder holds this cluster, stopped: what matches stays. Its own pg_wal goes: ship its log before.

    Raises:
        UsageError: The target lies before the point's end.
        UnsafeTarget: The folder is not empty; with `delta`: it holds no stopped cluster of this system identifier.
        IntegrityError: Something is missing or not genuine, the WAL that the point itself needs included.
    """
    facts = reader.facts(point, source)
    target.check(facts)
    check_wal(wal or reader, facts)
    outside = tablespaces or destination.with_name(destination.name + ".tablespaces")
    moved = facts.get("tablespaces")
    names = sorted(moved) if isinstance(moved, dict) else []
    stopped = StoppedCluster(destination, facts) if delta else None
    if stopped is not None:
        stopped.make_unstartable()
    elif names and outside.exists() and any(outside.iterdir()):
        raise UnsafeTarget("the folder for tablespaces is not empty", detail=str(outside))

    def finish() -> None:
        """Do all that must be there before PostgreSQL could start."""
        (destination / "pg_tblspc").mkdir(mode=0o700, exist_ok=True)
        for name in names:
            restore_tablespace(reader, point, source, destination, outside / name, delta=delta)
        configure_recovery(destination, {"restore_command": restore_command, **target.settings(), **(settings or {})})

    summary = reader.restore(
        point,
        source,
        destination,
        include=lambda path: path != b"tablespace_map" and not path.startswith(TABLESPACES),
        last=[CONTROL_FILE],
        before_last=finish,
        progress=progress,
        delta=delta,
    )
    if not (destination / CONTROL_FILE.decode()).exists():
        raise IntegrityError("the point has no pg_control", detail=point.name)
    if stopped is not None:
        stopped.forget()
    if user is not None:
        for folder in (destination, outside):
            if folder.exists():
                own(folder, user)
    return RestoredCluster(destination, point, facts, target, summary)


def check_wal(wal: WalReader, facts: Mapping[str, Fact]) -> None:
    """Make sure that the log without which the point cannot become consistent is there.

    Raises:
        IntegrityError: Some of it is not; it is named.
    """
    cluster = str(facts["cluster"])
    present = set(wal.wal_names(cluster))
    missing = [name for name in needed_names(facts) if name not in present]
    if missing:
        raise IntegrityError(
            f"WAL {missing[0]} is missing, which the point needs", detail=f"{len(missing)} missing of {cluster}"
        )


def configure_recovery(data: Path, settings: Mapping[str, str]) -> None:
    """Write the recovery settings and ask PostgreSQL to recover.

    Raises:
        IntegrityError: The restored tree is no cluster whose backup can be completed.
    """
    if not (data / "backup_label").exists():
        # Without it PostgreSQL would start at the wrong checkpoint and end up quietly damaged.
        (data / CONTROL_FILE.decode()).unlink(missing_ok=True)
        raise IntegrityError("the point has no backup_label", detail=str(data))
    automatic = data / "postgresql.auto.conf"
    kept = automatic.read_text().splitlines() if automatic.exists() else []
    lines = [line for line in kept if not _STALE.match(line)]
    lines += [f"{name} = '{_escaped(value)}'" for name, value in sorted(settings.items())]
    automatic.write_text("\n".join(lines) + "\n")
    automatic.chmod(0o600)
    main = data / "postgresql.conf"
    if not main.exists():
        main.write_text(_MINIMAL)
    (data / "standby.signal").unlink(missing_ok=True)
    (data / "recovery.signal").touch(mode=0o600)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
