"""Only a program that says so, in so many words, ends PostgreSQL's log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coffer.errors import UsageError
from coffer.recovery.restore_command import PAST_THE_END, coffer_wal_fetch, restore_command


def run(argv: list[str], tmp_path: Path) -> int:
    line = restore_command(argv, PAST_THE_END).replace("%%", "%").replace("%f", "NAME").replace("%p", "pg_wal/X")
    return subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True).returncode


@pytest.mark.parametrize(
    ("code", "told"), [(0, 0), (PAST_THE_END, 1), (1, 126), (2, 126), (125, 126), (126, 126), (255, 126)]
)
def test_exit_codes(code: int, told: int, tmp_path: Path) -> None:
    assert run(["sh", "-c", f"exit {code}", "%f", "%p"], tmp_path) == told


def test_a_program_that_is_missing_or_killed_is_not_the_end(tmp_path: Path) -> None:
    assert run([str(tmp_path / "absent"), "%f"], tmp_path) == 126
    assert run(["sh", "-c", "kill -9 $$", "%f"], tmp_path) == 126
    assert run([sys.executable, "-c", "import no_such_module", "%f"], tmp_path) == 126


def test_a_path_with_anything_in_it_stays_one_word(tmp_path: Path) -> None:
    odd = tmp_path / "o'dd 100% $HOME"
    odd.mkdir()
    (odd / "show").write_text('#!/bin/sh\necho "$1/$2" > got\n')
    (odd / "show").chmod(0o755)
    assert run([str(odd / "show"), "%f", "%p"], tmp_path) == 0
    assert (tmp_path / "got").read_text() == "NAME/pg_wal/X\n"


def test_coffer_s_own_line_names_it_absolutely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.recovery.restore_command.reachable_by_others", lambda path: True)
    line = coffer_wal_fetch(Path("/etc/coffer/wal.toml"))
    assert line.startswith("/usr/bin/perl /")
    assert str(Path(sys.executable).parent) in line, "who answers where no resident does"
    assert f"--past-the-end {PAST_THE_END}" in line


def test_an_installation_that_postgresql_cannot_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("coffer.recovery.restore_command.reachable_by_others", lambda path: False)
    with pytest.raises(UsageError, match="cannot reach"):
        coffer_wal_fetch(Path("/etc/coffer/wal.toml"))
