"""Which blocks the WAL changed between two positions, as the server's WAL summaries tell it (PostgreSQL 17 and later).

Source: PostgreSQL's manual, "WAL Summarization Information Functions"; src/include/common/blkreftable.h.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coffer.errors import IntegrityError
from coffer.sources.postgres.local_cluster import LocalCluster
from coffer.sources.postgres.relation_files import RelationFile
from coffer.sources.postgres.wal import format_lsn, parse_lsn

_PATIENCE = 60.0
"""Seconds to wait until the log is summarised up to the backup's start; PostgreSQL's own backup waits as long."""
_PAUSE = 0.01
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_COLUMNS = (("tablespace", ">u4"), ("database", ">u4"), ("number", ">u4"), ("block", ">i8"), ("limit", ">i1"))
_ROW = np.dtype(
    [("fields", ">i2")] + [part for name, kind in _COLUMNS for part in ((f"{name}_length", ">i4"), (name, kind))]
)
_AVAILABLE = "SELECT tli, start_lsn::text, end_lsn::text FROM pg_available_wal_summaries()"
_CONTENTS = """COPY (
    SELECT c.reltablespace, c.reldatabase, c.relfilenode, c.relblocknumber, c.is_limit_block
    FROM (VALUES {summaries}) AS s(tli, first, beyond),
         LATERAL pg_wal_summary_contents(s.tli, s.first::pg_lsn, s.beyond::pg_lsn) AS c
    WHERE c.relforknumber = 0
) TO STDOUT (FORMAT binary)"""


class Stretch(NamedTuple):
    """A part of the log.

    Attributes:
        timeline: On which timeline.
        start: First position.
        end: Position beyond the last.
    """

    timeline: int
    start: int
    end: int


class Change(NamedTuple):
    """What the log did to a relation's main fork.

    Attributes:
        blocks: Blocks that it changed, ascending.
        limit: The fork was cut to so many blocks, or made anew, on the way: nothing beyond is as it was. None if not.
    """

    blocks: NDArray[np.uint32]
    limit: int | None


class WalChanges:
    """What a stretch of the log changed, by relation.

    Args:
        rows: Relation, block and whether that is a limit, as the server tells them.
    """

    def __init__(self, rows: NDArray[np.void]) -> None:
        keys = np.stack([rows[name].astype(np.uint32) for name in ("tablespace", "database", "number")], axis=1)
        order = np.lexsort((rows["block"], keys[:, 2], keys[:, 1], keys[:, 0]))
        keys = keys[order]
        blocks, limits = rows["block"][order].astype(np.int64), rows["limit"][order].astype(bool)
        borders = np.flatnonzero(np.any(keys[1:] != keys[:-1], axis=1)) + 1
        bounds = [0, *borders.tolist(), len(keys)] if len(keys) else []
        self._changes: dict[tuple[int, int, int], Change] = {}
        for begin, end in itertools.pairwise(bounds):
            mine, limit = blocks[begin:end], limits[begin:end]
            tablespace, database, number = keys[begin].tolist()
            self._changes[tablespace, database, number] = Change(
                np.unique(mine[~limit]).astype(np.uint32), int(mine[limit].min()) if limit.any() else None
            )

    def of(self, relation: RelationFile) -> Change | None:
        """Return what became of a relation's main fork; None where the log does not speak of it."""
        return self._changes.get((relation.tablespace, relation.database, relation.number))

    def made_database(self, relation: RelationFile) -> bool:
        """Tell whether the relation's database was made, moved or dropped as a folder."""
        return (relation.tablespace, relation.database, 0) in self._changes


def read_changes(cluster: LocalCluster, stretches: Sequence[Stretch]) -> WalChanges | None:
    """Ask the server what the log changed in some stretches.

    Returns:
        The changes, or None where the summaries do not cover all of it.

    Raises:
        OutsideSystemError: The server refused.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        available = [
            Stretch(timeline, parse_lsn(start), parse_lsn(end)) for timeline, start, end in cluster.query(_AVAILABLE)
        ]
        gaps = [gap for stretch in stretches if (gap := first_gap(available, stretch)) is not None]
        if not gaps:
            break
        newest = max((each.end for each in available), default=0)
        if gaps[0] < newest or not _summarises(cluster) or time.monotonic() > deadline:
            return None
        time.sleep(_PAUSE)
    wanted = [each for each in available if any(_meets(each, stretch) for stretch in stretches)]
    return WalChanges(_rows(cluster.copy(_query(wanted)))) if wanted else WalChanges(np.empty(0, _ROW))


def first_gap(available: Iterable[Stretch], wanted: Stretch) -> int | None:
    """Return the first position of a stretch that no summary covers, or None if there is none."""
    at = wanted.start
    for each in sorted(each for each in available if each.timeline == wanted.timeline):
        if at >= wanted.end or each.start > at:
            break
        at = max(at, each.end)
    return at if at < wanted.end else None


def _meets(summary: Stretch, wanted: Stretch) -> bool:
    return summary.timeline == wanted.timeline and summary.start < wanted.end and summary.end > wanted.start


def _summarises(cluster: LocalCluster) -> bool:
    [(setting,)] = cluster.query("SELECT current_setting('summarize_wal')")
    return bool(setting == "on")


def _query(summaries: Iterable[Stretch]) -> str:
    return _CONTENTS.format(
        summaries=", ".join(
            f"({each.timeline}, '{format_lsn(each.start)}', '{format_lsn(each.end)}')" for each in summaries
        )
    )


def _rows(data: bytes) -> NDArray[np.void]:
    """Read a binary COPY of rows that have no NULL: all of one length."""
    begin = len(_SIGNATURE) + 8
    end = len(data) - 2
    if data[: len(_SIGNATURE)] != _SIGNATURE or (end - begin) % _ROW.itemsize:
        raise IntegrityError("PostgreSQL sent WAL summaries in an unknown form", detail=f"{len(data)} bytes")
    return np.frombuffer(data, _ROW, (end - begin) // _ROW.itemsize, begin)
