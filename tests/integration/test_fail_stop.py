"""PostgreSQL never opens with rows missing because its log could not be brought; with the real command line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fail_stop.cases import Case
from bench.fail_stop.coffer_side import CofferSide
from bench.fail_stop.running import run_cases


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside pytest's folders: PostgreSQL's account must walk into it."""
    with tempfile.TemporaryDirectory(prefix="coffer-fail-stop-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_postgres_stops_in_every_case_and_the_segment_is_named(folder: Path) -> None:
    assert os.geteuid() == 0, "PostgreSQL runs as an account of its own here"
    _, found = run_cases(lambda place, _: CofferSide(place), folder, 18, Case)
    whole = found.pop(Case.NOTHING)
    assert (whole.promoted, whole.missing) == (True, 0)
    stopped = {case: (outcome.promoted, outcome.code) for case, outcome in found.items()}
    assert stopped == dict.fromkeys(found, (False, 126))
    assert set(found) == {*Case} - {Case.NOTHING}
    for case, outcome in found.items():
        assert "Traceback" not in outcome.said
        assert "coffer wal fetch 0000000100000000" in outcome.said, case
    assert "is missing" in found[Case.HOLE].said
    assert "the archive goes on with" in found[Case.HOLE].said
