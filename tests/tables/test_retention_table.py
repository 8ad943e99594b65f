"""Facts in, verdicts out, from retention.toml."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coffer.vault.retention import Candidate, Proven, RetentionPolicy, decide

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
_CASES = tomllib.loads(Path(__file__).with_name("retention.toml").read_text())["case"]
_POINT = re.compile(r"(?P<age>[0-9.]+)(?P<state>[vdx]?)(L(?P<lock>[0-9]+))?")


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["name"])
def test_retention(case: dict[str, Any]) -> None:
    points = [_candidate(text, number) for number, text in enumerate(case["points"])]
    decision = decide(points, RetentionPolicy.parse(case["policy"], "case"), NOW)
    kept = {each.point.name: each.reason for each in decision.verdicts if each.keep and not each.held}
    assert list(kept) == list(case["keep"])
    for name, reason in kept.items():
        assert reason.startswith(case["keep"][name])
    others = [each for each in decision.verdicts if each.point.name not in kept]
    assert {each.held for each in others} <= {"held" in case}
    assert [each.reason.startswith(case.get("held", "")) for each in decision.refusals] == [True] * ("held" in case)


def _candidate(text: str, number: int) -> Candidate:
    match = _POINT.fullmatch(text)
    assert match, text
    proven = {"v": Proven.READ_BACK, "d": Proven.DRILLED}.get(match["state"], Proven.NOTHING)
    return Candidate(
        "app",
        text,
        number,
        NOW - timedelta(days=float(match["age"])),
        proven=proven,
        damaged=match["state"] == "x",
        locked_until=NOW + timedelta(days=int(match["lock"])) if match["lock"] else None,
    )
