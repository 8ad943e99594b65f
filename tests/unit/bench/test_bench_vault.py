"""The bench does not rot: it runs on a handful of files, tells noise from measurement, and writes its page."""

from __future__ import annotations

import filecmp
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.vault.measuring import Cost
from bench.vault.memory import Memory
from bench.vault.mixed import Mixed
from bench.vault.page import write_page
from bench.vault.places import FolderPlace
from bench.vault.profile import read_samples
from bench.vault.report import print_report, speed_rows
from bench.vault.restic_build import find_restic
from bench.vault.results import Cell, Measurement, Results
from bench.vault.rounds import run_rounds
from bench.vault.sameness import check_same
from bench.vault.small import Small
from bench.vault.subject import Rules
from bench.vault.tools import Coffer
from bench.vault.workloads import Workload, measure_tree
from bench.vault.works import Work
from coffer.errors import OutsideSystemError, StepFailed, UsageError

MACHINE = {
    "processor": "P",
    "cores": 2,
    "memory": 1 << 30,
    "system": "S",
    "python": "3",
    "file_system": "ext4",
    "write_mb_s": [1, 3, 2],
    "read_mb_s": [4, 4, 4],
}
HEADER = {
    "started": "today",
    "command": "python -m bench",
    "machine": MACHINE,
    "versions": {"coffer": "1", "restic": "2"},
    "workloads": {"small": "Small files", "mixed": "Mixed files"},
}
ONE = Measurement("small", "file", Work.FIRST, "coffer", 1, 1, 2.0, 1.0, 0.5, 100 << 20, 0.01, 1000, 3)
WORKLOADS = [Mixed(1 << 20), Small(300)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)
def test_a_workload_is_the_same_each_time_and_changes_by_about_a_percent(workload: Workload, tmp_path: Path) -> None:
    workload.make(tmp_path / "one")
    workload.make(tmp_path / "two")
    check_same(tmp_path / "one", _with_times_of(tmp_path / "one", tmp_path / "two"))
    whole = measure_tree(tmp_path / "one")
    changed = workload.change(tmp_path / "two", 1)
    assert 0.003 < changed.bytes / whole.bytes < 0.02
    with pytest.raises(StepFailed):
        check_same(tmp_path / "one", _with_times_of(tmp_path / "one", tmp_path / "two"))


def test_a_round_backs_up_restores_and_keeps_every_measurement(tmp_path: Path) -> None:
    results = Results(HEADER, path=tmp_path / "results.json")
    lines: list[str] = []
    run_rounds(
        Small(20),
        [Coffer("1")],
        FolderPlace(),
        tmp_path / "scratch",
        rounds=1,
        seed=1,
        rules=Rules(attempts=1, patience=0, cold=False),
        results=results,
        tell=lines.append,
        works=[Work.FIRST, Work.RESTORE],
    )
    assert [each.work for each in results.measurements] == [Work.FIRST, Work.RESTORE]
    assert all(each.seconds > 0 and each.cpu > 0 and each.peak > 10 << 20 for each in results.measurements)
    assert results.measurements[0].stored > 0
    assert len(lines) == 2
    assert Results.load(tmp_path / "results.json").measurements == results.measurements
    assert not list((tmp_path / "scratch").iterdir())


def test_noisy_measurements_count_only_where_no_quiet_one_is() -> None:
    noisy, again = replace(ONE, foreign=0.5, seconds=9.0), replace(ONE, attempt=2, seconds=3.0)
    cell = Cell.of([noisy, again, replace(ONE, round=2, foreign=0.2, seconds=8.0)])
    assert cell is not None
    assert ([each.seconds for each in cell.used], cell.noisy) == ([3.0], False)
    alone = Cell.of([noisy])
    assert alone is not None
    assert alone.noisy


def test_a_goal_is_held_against_the_peer() -> None:
    peer = replace(ONE, tool="restic", seconds=2.9)
    (row,) = speed_rows(Results(HEADER, [ONE, peer]), "small", "file")
    assert row.cells[3:] == ("1.45×", "≥ 1.5×: missed")
    (row,) = speed_rows(Results(HEADER, [ONE, replace(peer, seconds=3.0)]), "small", "file")
    assert row.cells[3:] == ("1.50×", "≥ 1.5×: met")


def test_the_page_holds_measurements_memory_and_machine() -> None:
    results = Results(HEADER, [ONE, replace(ONE, place="s3", requests={"GET": 4, "PUT": 3})])
    row = Memory("backup", [1 << 30, 8 << 30], [100 << 20, 104 << 20], [1.0, 9.0])
    page = write_page([results], [{**HEADER, "explanation": "Generated.", "memory": [vars(row)]}])
    assert "| first backup | 2.00 [2.00–2.00] |" in page
    assert "| first backup | 1.50 | 100 | 0.0 | 3 | 7 |" in page
    assert "| backup | 1, 8 | 100, 104 | 2.0% | met |" in page
    assert "writes 1–3 and reads 4–4 MB/s" in page
    printed = io.StringIO()
    print_report(results, Console(file=printed, width=200))
    assert "store in SeaweedFS on this machine" in printed.getvalue()


def test_other_files_are_no_measurements(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UsageError):
        Results.load(tmp_path / "other.json")


def test_a_missing_go_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(OutsideSystemError, match="Go is not installed"):
        find_restic()


def test_samples_are_added_up_by_our_innermost_function() -> None:
    lines = [
        "thread (7): MainThread;main (coffer/commands/main.py:9);store (coffer/vault/packs.py:3);run (zip.py:1) 6",
        "thread (8): coffer-seal_0;run (threading.py:3) 2",
    ]
    found = read_samples(lines, Cost(1.0, 0.5, 0.5, 0, 0.0))
    assert found.ours == {"coffer/vault/packs.py: store": 6, "Python and libraries alone": 2}
    assert found.threads == {"MainThread": 6, "coffer-seal": 2}


def _with_times_of(one: Path, other: Path) -> Path:
    """Give a tree's files the times of another's, which were written a moment before."""
    for path in other.rglob("*"):
        if (model := one / path.relative_to(other)).is_file():
            status = model.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    filecmp.clear_cache()
    return other
