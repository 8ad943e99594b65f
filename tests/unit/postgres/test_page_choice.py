from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.sources.postgres import page_choice
from coffer.sources.postgres.lineage import stretches
from coffer.sources.postgres.relation_files import SEGMENT_PAGES, RelationFile, parse
from coffer.sources.postgres.wal import Fork
from coffer.sources.postgres.wal_summaries import _ROW, Change, Stretch, WalChanges, first_gap

BLOCKS = st.sets(st.integers(0, 60), max_size=30)


@given(
    changed=BLOCKS,
    limit=st.none() | st.integers(0, 60),
    first=st.sampled_from([0, 20]),
    size=st.integers(0, 40),
    before=st.integers(0, 40),
)
def test_by_change_misses_no_page(changed: set[int], limit: int | None, first: int, size: int, before: int) -> None:
    change = Change(np.array(sorted(changed), np.uint32), limit)
    chosen = page_choice.by_change(change, first, size, before).tolist()
    assert chosen == sorted(set(chosen))
    assert all(page < size for page in chosen)
    for page in range(size):
        may_differ = page + first in changed or page >= before or (limit is not None and page + first >= limit)
        assert (page in chosen) == may_differ


@given(size=st.integers(0, 40), before=st.integers(0, 40))
def test_what_the_log_does_not_speak_of_changed_only_in_length(size: int, before: int) -> None:
    assert page_choice.by_change(None, 0, size, before).tolist() == list(range(min(size, before), size))


@given(st.lists(st.integers(0, 1 << 40), max_size=30), st.integers(1 << 24, 1 << 40), st.integers(0, 30))
def test_by_lsn_keeps_only_what_is_surely_older(lsns: list[int], since: int, before: int) -> None:
    pages = np.arange(len(lsns), dtype=np.uint32)
    chosen = page_choice.by_lsn(np.array(lsns, np.uint64), pages, since, before)
    for page, lsn in enumerate(lsns):
        assert chosen[page] == (not (1 << 24 <= lsn < since and page < before))


@given(st.sets(st.integers(0, 300), max_size=60), st.integers(0, 10), st.integers(1, 40))
def test_runs_hold_every_page_once(pages: set[int], gap: int, longest: int) -> None:
    found = page_choice.runs(np.array(sorted(pages), np.uint32), gap, longest)
    covered = [page for first, length in found for page in range(first, first + length)]
    assert covered == sorted(set(covered))
    assert pages <= set(covered)
    assert all(0 < length <= longest for _, length in found)
    if not gap:
        assert pages == set(covered)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_a_gap_in_the_summaries_is_seen(parts: list[tuple[int, int, int]]) -> None:
    available = [Stretch(timeline, start, start + length) for timeline, start, length in parts]
    covered = {at for timeline, start, end in available if timeline == 1 for at in range(start, end)}
    missing = [at for at in range(10, 40) if at not in covered]
    assert first_gap(available, Stretch(1, 10, 40)) == (missing[0] if missing else None)


def test_changes_of_several_summaries_are_joined() -> None:
    rows = np.zeros(6, _ROW)
    rows["tablespace"], rows["database"] = 1663, 5
    rows["number"] = [20, 20, 20, 10, 20, 0]
    rows["block"] = [7, 3, 9, 1, 7, 0]
    rows["limit"] = [0, 0, 1, 0, 0, 1]
    changes = WalChanges(rows)
    change = changes.of(RelationFile(1663, 5, 20, "main", 0))
    assert change is not None
    assert (change.blocks.tolist(), change.limit) == ([3, 7], 9)
    assert changes.of(RelationFile(1663, 5, 11, "main", 0)) is None
    assert changes.made_database(RelationFile(1663, 5, 11, "main", 0))
    assert not changes.made_database(RelationFile(1663, 6, 11, "main", 0))


HISTORY = [Fork(1, 100), Fork(2, 200)]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (Stretch(3, 210, 210), [Stretch(3, 210, 300)]),
        (Stretch(2, 150, 150), [Stretch(2, 150, 200), Stretch(3, 200, 300)]),
        (Stretch(1, 50, 50), [Stretch(1, 50, 100), Stretch(2, 100, 200), Stretch(3, 200, 300)]),
        (Stretch(1, 100, 100), [Stretch(2, 100, 200), Stretch(3, 200, 300)]),
        (Stretch(1, 101, 101), None),  # written on timeline 1 after timeline 2 had left it
        (Stretch(4, 10, 10), None),
    ],
)
def test_the_way_through_timelines(start: Stretch, expected: list[Stretch] | None) -> None:
    assert stretches(HISTORY, 3, start, 300) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"base/5/1259", RelationFile(1663, 5, 1259, "main", 0)),
        (b"base/5/1259_vm", RelationFile(1663, 5, 1259, "vm", 0)),
        (b"base/5/16384_fsm.2", RelationFile(1663, 5, 16384, "fsm", 2)),
        (b"global/1262", RelationFile(1664, 0, 1262, "main", 0)),
        (b"pg_tblspc/16400/PG_18_202506291/5/16401.1", RelationFile(16400, 5, 16401, "main", 1)),
        (b"base/5/pg_filenode.map", None),
        (b"base/5/t3_16384", None),
        (b"pg_xact/0000", None),
        (b"global/pg_control", None),
    ],
)
def test_names_of_relation_files(path: bytes, expected: RelationFile | None) -> None:
    assert parse(path) == expected


def test_pages_of_later_segments_count_on() -> None:
    relation = parse(b"base/5/1259.3")
    assert relation is not None
    assert relation.first_page == 3 * SEGMENT_PAGES
