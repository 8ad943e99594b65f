"""The bench of PostgreSQL does not rot: results survive, goals are judged, the page is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.postgres.page import growth_table, table_of, verdicts, write_page
from bench.postgres.results import Failure, Measurement, Results
from bench.postgres.rows import BACKUPS, PERCENT, Row
from bench.postgres.subjects import subjects
from coffer.errors import UsageError

MACHINE = {
    "processor": "P",
    "cores": 2,
    "memory": 1 << 30,
    "system": "S",
    "python": "3",
    "file_system": "ext4",
    "write_mb_s": [1, 2, 3],
    "read_mb_s": [1, 2, 3],
}
HEADER = {"started": "now", "command": "python -m bench", "machine": MACHINE, "clusters": {"18": "2.4 GB"}}


def _one(tool: str, row: Row, seconds: float, *, turn: int = 1, foreign: float = 0.0, stored: int = 0) -> Measurement:
    return Measurement(tool, 18, row, turn, seconds, 1.0, 100 << 20, foreign, stored, "rows equal, amcheck clean")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(dict(HEADER), path=tmp_path / "kept" / "postgres.json")
    for turn, seconds in enumerate((3.0, 3.5, 4.0), 1):
        made.add(_one("coffer", Row.FULL, seconds, turn=turn))
        made.add(_one("pg_basebackup", Row.FULL, 2 * seconds, turn=turn))
    made.add(_one("coffer", Row.FULL, 60.0, turn=4, foreign=0.5))
    made.add(_one("coffer", Row.TENTH, 0.9, stored=3_000_000))
    made.add(_one("coffer", Row.FIRST_QUERY, 5.0))
    made.add(_one("pg_basebackup", Row.FIRST_QUERY, 8.0))
    made.add(Failure("restic", 15, Row.FULL, 1, "it fell"))
    made.note("lag-18", [{"p50": 0.5, "p99": 1.5}, {"p50": 0.5, "p99": 2.5}])
    made.note(
        "growth-18", [{"bytes": 10**9, "full": 2, "incremental": 0.5, "spread": [0.4, 0.6], "stored": 1, "peak": 1}]
    )
    return made


def test_every_measurement_is_kept_at_once_and_read_again(results: Results) -> None:
    assert results.path is not None
    again = Results.load(results.path)
    assert (again.measurements, again.failures, again.extras) == (
        results.measurements,
        results.failures,
        results.extras,
    )
    results.path.write_text("{}")
    with pytest.raises(UsageError):
        Results.load(results.path)


def test_loud_measurements_do_not_count_where_there_are_quiet_ones(results: Results) -> None:
    cell = results.cell("coffer", 18, Row.FULL)
    assert cell is not None
    assert cell.spread(lambda each: each.seconds) == (3.0, 4.0)


def test_goals_are_met_or_missed(results: Results) -> None:
    said = "\n".join(verdicts(results))
    assert "full, PG 18: 3.50 s (≤ 3.7: met)" in said
    assert "incremental, 0.1 % of pages, PG 18: 0.90 s (≤ 0.6: missed)" in said
    assert "stored, PG 18: 3.00 MB (≤ 3.2: met)" in said
    assert "1.60× as fast as the best peer, pg_basebackup on 18 (≥ 1.5×: met)" in said
    assert "streaming lag p99, PG 18: 2.50 s (≤ 2: missed)" in said
    assert "peak memory: 100.00 MiB (≤ 512: met)" in said


def test_the_page_holds_what_was_measured_and_what_failed(results: Results) -> None:
    head, lines = table_of(results, "seconds")
    assert head == ("work", "coffer, PG 18", "pg_basebackup, PG 18", "goal")
    assert lines[1].cells[2] == "–"
    assert growth_table(results)[1][0].cells[0] == "PostgreSQL 18, 1 GB"
    page = write_page([results])
    for part in ("## Growth", "FAILED: restic on 15, full, round 1: it fell", "### Goals", "## How", "2.4 GB"):
        assert part in page


def test_every_row_of_the_promise_has_a_goal_or_a_peer_to_beat() -> None:
    assert {row for row in Row if row.goal is None} == {Row.FIRST_QUERY}
    assert set(PERCENT) == set(BACKUPS[1:])
    assert all(each.major in (15, 18) for each in subjects(1))
    assert [each.rounds for each in subjects(1) if each.name == "pgbackrest"] == [1]
