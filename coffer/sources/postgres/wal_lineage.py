"""Keeps one cluster's log one cluster's: what is put under a name must be of the system that began it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coffer.errors import IntegrityError, NotThere, UnsafeTarget
from coffer.sources.postgres.wal import Segment, history_name, is_segment, parse_history
from coffer.sources.postgres.wal_archive import SegmentHeader, WalWriter

_NEW_CLUSTER = (
    "After pg_upgrade or initdb the log is another one: give it a 'cluster' name of its own in wal.toml, "
    "and take a full point"
)


class Lineage:
    """What an archive knows of one cluster: its system, version and segment size.

    Args:
        archive: Where its log is.
        cluster: Its name there.
        log: Takes lines for people.
    """

    def __init__(self, archive: WalWriter, cluster: str, log: Callable[[str], None] = lambda line: None) -> None:
        self._archive, self._cluster, self._log = archive, cluster, log
        self._known: tuple[str, int, int] | None = None
        self._names: set[str] | None = None

    def check(self, header: SegmentHeader) -> None:
        """Refuse what is not of the cluster whose log this is; the first segment says which that is.

        Raises:
            UnsafeTarget: Another system (pg_upgrade made one, or a name is used twice), version or segment size.
        """
        mine = (header.system, header.version, header.size)
        if self._known is None:
            self._known = self._look() or mine
        system, version, size = self._known
        if header.system != system:
            detail = f"'{self._cluster}' is the log of system {system}, this one is of {header.system}"
            if version and header.version and version != header.version:
                detail += f"; it was PostgreSQL {version}, this one is {header.version}"
            raise UnsafeTarget("This WAL is of another cluster", detail=detail, resolution=_NEW_CLUSTER)
        if version and header.version and version != header.version:
            raise UnsafeTarget(
                f"This WAL is of PostgreSQL {header.version}", detail=f"'{self._cluster}' is of {version}",
                resolution=_NEW_CLUSTER,
            )  # fmt: skip
        if header.size != size:
            raise UnsafeTarget(
                f"This WAL has segments of {header.size} bytes", detail=f"'{self._cluster}' has {size}",
                resolution=_NEW_CLUSTER,
            )  # fmt: skip

    def check_timeline(self, segment: Segment, folder: Path) -> bytes | None:
        """Make sure that a timeline's history goes before its segments; return it where the archive lacks it.

        Args:
            segment: Of which timeline.
            folder: pg_wal, which keeps histories for ever.

        Raises:
            IntegrityError: The segment is older than the timeline it claims to be of.
        """
        if segment.timeline == 1:
            return None
        name = history_name(segment.timeline)
        try:
            history = (folder / name).read_bytes()
        except OSError:
            history = b""
        forks = parse_history(history)
        if forks and segment.number < forks[-1].position // segment.size:
            raise IntegrityError(f"{segment.name} is older than its timeline", detail=f"{name} says so")
        names = self.names()
        if name in names:
            return None
        if not history:
            names.add(name)  # said once
            self._log(f"timeline {segment.timeline} has no history, neither in the vault nor in {folder}: "
                      "it cannot be followed from the one before")  # fmt: skip
        return history or None

    def names(self) -> set[str]:
        """Return what the archive had of this cluster when it was first asked, and what was noted since."""
        if self._names is None:
            self._names = set(self._archive.wal_names(self._cluster))
        return self._names

    def _look(self) -> tuple[str, int, int] | None:
        newest = max(filter(is_segment, self.names()), default=None, key=lambda name: name[8:])
        if newest is None:
            self._log(f"the vault holds no log of '{self._cluster}' yet: it begins here; take a full point")
            return None
        try:
            facts = self._archive.wal_facts(self._cluster, newest)
        except (NotThere, IntegrityError) as error:  # audit and verify judge it; here it only cannot be compared with
            self._log(f"{newest} cannot be compared with: {error}")
            return None
        system, version, size = facts.get("system"), facts.get("version"), facts.get("segment_size")
        if isinstance(system, str) and isinstance(version, int) and isinstance(size, int):
            return system, version, size
        return None
