"""A drill's result beside its point."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, OutsideSystemError, Unreachable
from coffer.recovery import drill_proof
from coffer.recovery.report import DrillReport
from coffer.vault.proofs import How, Result
from coffer.vault.retention import Proven
from tests.unit.vault.making import Tree, World


def report(error: CofferError | None = None, sabotage: str = "") -> DrillReport:
    made = DrillReport("production", "app", sabotage=sabotage, target="latest", rto_seconds=4.5, rows={"a": 3})
    made.rpo_seconds["database"] = 1.5
    made.check("asked", lambda: "yes")
    if error is not None:
        made.fail("asked again", error)
    return made


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, Result.PASSED),
        (OutsideSystemError("a promise was broken"), Result.FAILED),
        (IntegrityError("a page is damaged"), Result.DAMAGED),
    ],
)
def test_what_a_drill_found_stands_beside_the_point(tmp_path: Path, error: CofferError | None, result: Result) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}))
    reader = world.reader()
    drill_proof.keep(reader, point, report(error), print)
    known = reader.proofs().of("app", point.name, point.object_name)
    [proof] = known.proofs
    assert (proof.how, proof.result) == (How.DRILL, result)
    assert proof.facts["rto_seconds"] == 4.5
    assert proof.facts["rpo_seconds_database"] == 1.5
    assert proof.facts["rows"] == 3
    assert (known.proven is Proven.DRILLED) is (result is Result.PASSED)
    assert bool(known.damaged) is (result is Result.DAMAGED)


def test_a_drill_with_sabotage_says_nothing_of_the_point(tmp_path: Path) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}))
    reader = world.reader()
    drill_proof.keep(reader, point, report(IntegrityError("a page is damaged"), "flipped-page"), print)
    assert not reader.proofs().points


def test_a_result_that_cannot_be_kept_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}))
    reader = world.reader()

    def away(*_: object) -> None:
        raise Unreachable("away")

    monkeypatch.setattr(world.memory, "put", away)
    said: list[str] = []
    drill_proof.keep(reader, point, report(), said.append)
    assert "not kept beside the point: away" in said[0]
