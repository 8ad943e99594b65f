"""A recovery's plan, its journal and its executor: what is done is never done again, and a stop says what to type."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coffer.errors import CofferError, HeldByAnother, IntegrityError, NotThere, StepFailed
from coffer.recovery.recover_executor import execute
from coffer.recovery.recover_journal import Journal, alone
from coffer.recovery.recover_plan import RecoveryPlan, image_at
from coffer.recovery.recover_steps import Abilities, BringBack, Observed, SetAside, StartDatabase, Step, steps_of
from coffer.recovery.target import RestoreTarget
from coffer.vault.capture import Kind
from coffer.vault.points import Point

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLAN = RecoveryPlan(
    id="r1", environment="production", service="app", vault="ab", point="p1", point_started=NOON.isoformat(),
    target_kind="latest", target_value="", image="r/app@sha256:" + "0" * 64,
    sources={"postgres": "postgres", "files": "files", "redis": "redis", "references": "references"},
    replaced=["/srv/postgres → postgres.before-r1"], made=NOON.isoformat(),
)  # fmt: skip


def point(hour: int, image: str = "") -> Point:
    at = NOON + timedelta(hours=hour)
    facts = {"image": image} if image else {}
    return Point(f"p{hour}", "app", Kind.FULL, hour, at, at, None, (), 0, 0, facts, (), "")


def test_people_are_sent_only_after_every_question() -> None:
    everything = Abilities(prepare=True, redis=True, questions=True, record=True, shipping=True, point=True)
    keys = [step.key for step in steps_of(PLAN, everything)]
    order = [
        "prepare-host", "out-of-traffic", "stop-programs", "set-aside-postgres", "bring-postgres", "bring-files",
        "bring-redis", "replay", "start-database", "start-service", "ask-questions", "move-traffic", "move-record",
        "write-ledger", "take-point",
    ]  # fmt: skip
    assert [key for key in keys if key in order] == order
    assert len(set(keys)) == len(keys)


def test_what_a_place_cannot_do_is_no_step() -> None:
    keys = {step.key for step in steps_of(PLAN, Abilities())}
    assert not keys & {"prepare-host", "ask-questions", "move-record", "start-shipping", "take-point", "start-redis"}
    assert "move-traffic" in keys


@pytest.mark.parametrize(
    ("target", "image"),
    [
        (RestoreTarget(), "c"),
        (RestoreTarget.at_time(NOON + timedelta(hours=1, minutes=30)), "b"),
        (RestoreTarget.at_time(NOON - timedelta(hours=1)), "a"),
        (RestoreTarget.at_time(NOON + timedelta(hours=9)), "c"),
    ],
)
def test_the_image_of_a_moment_is_what_ran_until_the_next_point(target: RestoreTarget, image: str) -> None:
    """A point is taken directly before each release, and names what ran until then."""
    points = [point(0, "a"), point(1), point(2, "b"), point(3, "c")]
    assert image_at(points, points[0], target) == image
    assert image_at([point(0)], point(0), target) == ""


def test_states_are_judged_by_looking_where_they_last() -> None:
    aside = SetAside("set-aside-files", "", role="files")
    assert aside.is_done(Observed(aside=frozenset({"files"})))
    assert aside.is_done(Observed(noted=frozenset({"set-aside-files"})))
    assert not aside.is_done(Observed(aside=frozenset({"postgres"})))
    bring = BringBack("bring-files", "", role="files")
    assert not bring.is_done(Observed(noted=frozenset({"bring-files"}))), "the folder may be gone again"
    assert not StartDatabase("start-database", "").is_done(Observed(noted=frozenset({"start-database"})))


@dataclass
class Actor:
    """Does what it is told, or fails at one step."""

    journal: Journal
    fails: str = ""
    error: CofferError = field(default_factory=lambda: StepFailed("no luck", detail="why", resolution="Mend it."))
    done: list[str] = field(default_factory=list)

    def observe(self, step: Step) -> Observed:
        return Observed(noted=frozenset(self.journal.record.done))

    def perform(self, step: Step) -> str:
        if step.key == self.fails:
            raise self.error
        self.done.append(step.key)
        return "fine"


STEPS = [Step("one", "do one"), Step("two", "do two"), Step("three", "do three")]


def test_a_stop_names_the_step_and_the_next_line_and_the_second_run_goes_on(tmp_path: Path) -> None:
    journal = Journal.begin(tmp_path, PLAN)
    first = Actor(journal, fails="two")
    with pytest.raises(StepFailed) as caught:
        execute(STEPS, first, journal, again="coffer recover --x", log=lambda line: None)
    assert "step 2 of 3, do two: no luck: why. Mend it." in str(caught.value)
    assert "coffer recover --x" in str(caught.value)
    assert first.done == ["one"]
    again = Journal.load(journal.path)
    second = Actor(again)
    lines: list[str] = []
    execute(STEPS, second, again, again="", log=lines.append)
    assert second.done == ["two", "three"]
    assert "was done" in lines[0]
    with pytest.raises(NotThere):
        execute(STEPS, Actor(journal, "three", NotThere("x")), Journal.begin(tmp_path, PLAN), again="", log=print)


def test_a_step_that_does_not_reach_its_state_is_not_noted(tmp_path: Path) -> None:
    journal = Journal.begin(tmp_path, PLAN)
    with pytest.raises(StepFailed, match="could not start"):
        execute([StartDatabase("start-database", "start")], Actor(journal), journal, again="", log=lambda line: None)
    assert Journal.load(journal.path).record.done == {}


def test_the_journal_knows_a_folder_by_what_a_rename_keeps(tmp_path: Path) -> None:
    journal = Journal.begin(tmp_path / "recovery", PLAN)
    staging, place = tmp_path / "staging", tmp_path / "place"
    staging.mkdir()
    journal.expect(place, staging)
    assert not journal.holds(place)
    staging.rename(place)
    assert Journal.load(journal.path).holds(place)
    place.rename(tmp_path / "elsewhere")
    place.mkdir()
    assert not journal.holds(place), "somebody else's"


def test_the_unfinished_one_is_found_and_a_damaged_journal_is_said(tmp_path: Path) -> None:
    journal = Journal.begin(tmp_path, PLAN)
    assert Journal.unfinished(tmp_path) is None, "nobody said yes to it"
    journal.record.begun = NOON.isoformat()
    journal.save()
    found = Journal.unfinished(tmp_path)
    assert found is not None
    assert found.record.plan == PLAN
    assert Journal.named(tmp_path, "r2") is None
    journal.path.write_text("{")
    with pytest.raises(IntegrityError, match="not a recovery's journal"):
        Journal.unfinished(tmp_path)


def test_one_recovery_acts_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(HeldByAnother), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
