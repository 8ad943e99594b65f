"""What of an earlier point a direct capture may build upon, and how it learns what changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres import lineage, page_choice
from coffer.sources.postgres.local_cluster import LocalCluster
from coffer.sources.postgres.page_choice import Pages
from coffer.sources.postgres.relation_files import RelationFile
from coffer.sources.postgres.wal import Fork, history_name, parse_history, parse_lsn
from coffer.sources.postgres.wal_summaries import Stretch, WalChanges, read_changes
from coffer.vault.capture import Fact, Kind, Parent

_SUMMARIES_SINCE = 17_00_00


class PageChooser(Protocol):
    """Knows which pages of a file changed."""

    @property
    def how(self) -> str:
        """In words."""
        ...

    @property
    def reads_all(self) -> bool:
        """Whether it has to see the pages themselves."""
        ...

    def is_made_anew(self, relation: RelationFile) -> bool:
        """Tell whether the file may have nothing to do with the parent's of the same name."""
        ...

    def is_untouched(self, relation: RelationFile) -> bool:
        """Tell whether nothing is known to have changed in it, but perhaps its size."""
        ...

    def pages(self, relation: RelationFile, size: int, before: int) -> Pages:
        """Return the pages of a file that changed; every page for one that `reads_all`."""
        ...

    def among(self, lsns: NDArray[np.uint64], pages: Pages, before: int) -> NDArray[np.bool_]:
        """Tell which of some pages changed, having seen them."""
        ...


@dataclass(frozen=True)
class BySummaries:
    """Believes the WAL summaries: what they do not name was not changed."""

    changes: WalChanges
    how: str = "WAL summaries"
    reads_all: bool = False

    def is_made_anew(self, relation: RelationFile) -> bool:
        """Tell whether its database was copied as a folder: the log names no blocks then."""
        return self.changes.made_database(relation)

    def is_untouched(self, relation: RelationFile) -> bool:
        """Tell whether the log does not speak of it."""
        return self.changes.of(relation) is None

    def pages(self, relation: RelationFile, size: int, before: int) -> Pages:
        """Return the pages that the log names, and those beyond the parent's end."""
        return page_choice.by_change(self.changes.of(relation), relation.first_page, size, before)

    def among(self, lsns: NDArray[np.uint64], pages: Pages, before: int) -> NDArray[np.bool_]:
        """Believe the choice."""
        return np.ones(pages.size, bool)


@dataclass(frozen=True)
class ByLsn:
    """Reads every page and compares its LSN.

    Attributes:
        since: Position where the parent began.
        databases: OIDs of the databases that are what they were then.
    """

    since: int
    databases: frozenset[int] = field(default_factory=frozenset)
    how: str = "page LSNs"
    reads_all: bool = True

    def is_made_anew(self, relation: RelationFile) -> bool:
        """Tell whether its database was made since: copied pages keep their old LSN."""
        return relation.database not in self.databases

    def is_untouched(self, relation: RelationFile) -> bool:
        """Only its pages tell."""
        return False

    def pages(self, relation: RelationFile, size: int, before: int) -> Pages:
        """Return every page."""
        return np.arange(size, dtype=np.uint32)

    def among(self, lsns: NDArray[np.uint64], pages: Pages, before: int) -> NDArray[np.bool_]:
        """Tell which are newer than the parent, or do not say."""
        return page_choice.by_lsn(lsns, pages, self.since, before)


def state_facts(cluster: LocalCluster) -> dict[str, Fact]:
    """Return what a later capture has to compare: take it before pages are read.

    `xmin` of a database's row changes when it is made anew under an OID that was used before.
    """
    rows = cluster.query("SELECT oid::text, xmin::text FROM pg_database ORDER BY oid")
    databases: dict[str, Fact] = dict(rows)
    return {"hints_logged": _logs_hints(cluster), "databases": databases}


def choose(
    cluster: LocalCluster, kind: Kind, parent: Parent | None, start: int, timeline: int, state: Mapping[str, Fact]
) -> tuple[PageChooser | None, str]:
    """Return who knows what changed since the parent, or None and why everything has to be taken."""
    if kind is Kind.FULL:
        return None, "asked for"
    if parent is None:
        return None, "no earlier point"
    facts, about = parent.facts, cluster.about
    if facts.get("system_identifier") != str(about.system):
        return None, "the earlier point is of another cluster"
    version, before, line = facts.get("version"), facts.get("start_lsn"), facts.get("timeline")
    if not isinstance(version, int) or version // 10_000 != about.version // 10_000:
        return None, "the earlier point is of another version of PostgreSQL"
    if not isinstance(before, str) or not isinstance(line, int):
        return None, "the earlier point does not say where it began"
    since = parse_lsn(before)
    parts = lineage.stretches(_history(cluster, timeline), timeline, Stretch(line, since, since), start)
    if parts is None:
        return None, "the earlier point is on a timeline that was left"
    if about.version < _SUMMARIES_SINCE:
        return _by_lsn(facts, state, since)
    if (changes := read_changes(cluster, parts)) is not None:
        return BySummaries(changes), ""
    chooser, reason = _by_lsn(facts, state, since)
    return chooser, f"WAL summaries do not reach back to it, and {reason}" if reason else ""


def _by_lsn(facts: Mapping[str, Fact], state: Mapping[str, Fact], since: int) -> tuple[PageChooser | None, str]:
    """Compare LSNs where setting a page's all-visible flag moves its: else it loses step with the visibility map."""
    then, now = facts.get("databases"), state["databases"]
    if not isinstance(then, dict) or not isinstance(now, dict):
        return None, "the earlier point was not captured directly"
    if not (facts.get("hints_logged") and state["hints_logged"]):
        return None, "neither data checksums nor wal_log_hints are on"
    same = {int(oid) for oid, xmin in now.items() if then.get(oid) == xmin}
    return ByLsn(since, frozenset({0, *same})), ""


def _logs_hints(cluster: LocalCluster) -> bool:
    [(hints,)] = cluster.query("SELECT current_setting('wal_log_hints')")
    return cluster.about.checksums or hints == "on"


def _history(cluster: LocalCluster, timeline: int) -> list[Fork]:
    if timeline == 1:
        return []
    path = cluster.about.data / "pg_wal" / history_name(timeline)
    return parse_history(path.read_bytes()) if path.exists() else []
