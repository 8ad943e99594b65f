"""Any plan, ended anywhere, ends right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coffer.errors import ApprovalError, HeldByAnother, StepFailed
from coffer.release import steps
from coffer.release.observed import Colour, ObservedService
from coffer.release.plan import ReleasePlan, RolloutPolicy
from coffer.release.planner import find_drift, plan_release
from coffer.release.rollback import plan_rollback
from coffer.targets.executor import execute, perform_step, switch_back
from tests.unit.release.memory_target import MemoryTarget
from tests.unit.release.release_facts import NEW, OLD, SPEC, empty_host, facts, serving_blue

FORWARD = [
    *("Claim", "FetchImage", "Start", "AwaitHealth", "JoinProxy", "SmokeTest", "WriteIntent"),
    *("Switch", "VerifySwitch", "Drain", "Soak", "Stop", "Record"),
]


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


def _plan(observed: ObservedService) -> ReleasePlan:
    return plan_release(observed, facts(), RolloutPolicy())


def _run(plan: ReleasePlan, target: MemoryTarget) -> None:
    execute(plan, target, target.acquire(plan.release, timedelta(minutes=5)))


def _assert_on_new(observed: ObservedService) -> None:
    assert observed.active is observed.persisted is Colour.GREEN
    assert observed.green.image == str(NEW)
    assert not observed.blue.running
    assert find_drift(observed) == ()


def test_a_release_ends_on_the_new_version() -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)
    assert [type(step).__name__ for step in plan.steps] == FORWARD
    _run(plan, target)
    _assert_on_new(target.observed)
    assert target.observed.previous == serving_blue().current


def test_a_second_run_changes_nothing() -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)
    _run(plan, target)
    first, target.performed = target.observed, []
    outcomes = execute(plan, target, target.acquire(plan.release, timedelta(minutes=5)))
    assert target.observed == first
    assert all(outcome.done_before for outcome in outcomes)
    assert target.performed == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("victim", FORWARD)
def test_killed_around_any_step_the_same_plan_goes_on(victim: str, moment: str) -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)

    def die(step: steps.Step) -> None:
        if type(step).__name__ == victim:
            raise Killed

    setattr(target, moment, die)
    if victim != "FetchImage" or NEW.digest not in target.observed.images:
        with pytest.raises(Killed):
            _run(plan, target)
    setattr(target, moment, lambda _: None)
    assert target.observed.serving is not None
    assert target.observed.serving.running
    _run(plan, target)
    _assert_on_new(target.observed)


@pytest.mark.parametrize("victim", FORWARD)
def test_a_failure_at_any_step_goes_back(victim: str) -> None:
    target = MemoryTarget(serving_blue(), fails=(victim,))
    plan = _plan(target.observed)
    with pytest.raises(StepFailed, match="blue serves"):
        _run(plan, target)
    observed = target.observed
    assert observed.active is observed.persisted is Colour.BLUE
    assert observed.blue == serving_blue().blue
    assert observed.intent is None
    assert not observed.green.exists
    assert ("Reopen:blue" in target.performed) is ("WriteIntent:green" in target.performed)


@pytest.mark.parametrize("victim", ["Switch", "ClearIntent", "LeaveProxy", "Remove"])
def test_killed_on_the_way_back_it_goes_back_again(victim: str) -> None:
    target = MemoryTarget(serving_blue(), fails=("Soak",))
    plan = _plan(target.observed)

    def die(step: steps.Step) -> None:
        if type(step).__name__ == victim and getattr(step, "colour", None) is not Colour.GREEN:
            raise Killed
        if type(step).__name__ == victim and victim in ("LeaveProxy", "Remove"):
            raise Killed

    target.before = die
    with pytest.raises(Killed):
        _run(plan, target)
    target.before = lambda _: None
    switch_back(plan, target, target.acquire(plan.release, timedelta(minutes=5)))
    assert target.observed.active is Colour.BLUE
    assert not target.observed.green.exists


def test_when_the_old_one_is_gone_the_new_one_stays() -> None:
    target = MemoryTarget(serving_blue(), fails=("Soak", "AwaitHealth"))
    plan = _plan(target.observed)
    target.fails = ("Soak",)

    def old_dies(step: steps.Step) -> None:
        if isinstance(step, steps.Drain):
            target.observed = replace(target.observed, blue=replace(target.observed.blue, exists=False, running=False))

    target.after = old_dies
    with pytest.raises(StepFailed, match="green serves"):
        _run(plan, target)
    assert target.observed.green.running


def test_a_first_release_that_fails_leaves_nobody() -> None:
    target = MemoryTarget(empty_host(), fails=("Soak",))
    with pytest.raises(StepFailed, match="nobody serves"):
        _run(_plan(target.observed), target)
    assert target.observed.active is target.observed.persisted is None
    assert not target.observed.blue.exists


def test_failing_twice_is_said_in_one_error() -> None:
    target = MemoryTarget(serving_blue(), fails=("SmokeTest", "Remove"))
    with pytest.raises(StepFailed, match="going back failed too") as failure:
        _run(_plan(target.observed), target)
    assert "SmokeTest failed" in failure.value.detail
    assert "coffer release rollback" in failure.value.resolution


def test_who_was_overtaken_does_not_switch_back() -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)
    fence = target.acquire(plan.release, timedelta(minutes=5))

    def overtake(step: steps.Step) -> None:
        if isinstance(step, steps.Switch):
            target.acquire("rollback", timedelta(minutes=5), takeover=True)

    target.before = overtake
    with pytest.raises(HeldByAnother):
        execute(plan, target, fence)
    assert target.observed.active is Colour.GREEN
    assert "Remove:green" not in target.performed


def test_a_plan_of_an_older_generation_touches_nothing() -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)
    other = plan_release(target.observed, facts("r3", OLD), RolloutPolicy())
    assert other.steps == ()
    _run(plan_release(target.observed, facts("r4"), RolloutPolicy()), target)
    target.performed = []
    with pytest.raises(ApprovalError, match="r4 has acted since"):
        _run(plan, target)
    assert target.performed == []


def test_steps_can_be_carried_out_one_by_one() -> None:
    target = MemoryTarget(serving_blue())
    plan = _plan(target.observed)
    for index in range(len(plan.steps)):
        # As a flow does it: a new fence after each suspension or retry.
        perform_step(plan, index, target, target.acquire(plan.release, timedelta(minutes=5)))
    _assert_on_new(target.observed)


def test_a_rollback_of_a_release_goes_back_and_forth() -> None:
    target = MemoryTarget(serving_blue())
    _run(_plan(target.observed), target)
    for release, image in (("b1", OLD), ("b2", NEW)):
        back = plan_rollback(
            target.observed, SPEC, RolloutPolicy(), release=release, requested_by="ann", reason="a complaint"
        )
        _run(back, target)
        assert target.observed.serving is not None
        assert target.observed.serving.image == str(image)
        assert find_drift(target.observed) == ()


def test_the_same_release_again_is_carried_out_again_when_what_it_left_is_not_well() -> None:
    target = MemoryTarget(serving_blue())
    _run(_plan(target.observed), target)
    target.observed = replace(target.observed, green=replace(target.observed.green, healthy=False))
    again = _plan(target.observed)
    assert again.release == target.observed.current.release  # type: ignore[union-attr]
    _run(again, target)
    assert target.observed.active is Colour.BLUE
    assert target.observed.blue.image == str(NEW)
    assert target.observed.blue.healthy


def test_what_an_earlier_plan_of_the_same_release_left_is_not_walked_back() -> None:
    target = MemoryTarget(serving_blue())
    _run(_plan(target.observed), target)
    again = _plan(replace(target.observed, green=replace(target.observed.green, healthy=False)))
    before = target.observed
    assert switch_back(again, target, target.acquire(again.release, timedelta(minutes=5))) == ()
    assert target.observed == before


def test_the_same_release_again_killed_half_way_is_struck_out_and_nothing_is_switched() -> None:
    target = MemoryTarget(serving_blue())
    _run(_plan(target.observed), target)
    target.observed = replace(target.observed, green=replace(target.observed.green, healthy=False))

    def die(step: steps.Step) -> None:
        if isinstance(step, steps.Switch):
            raise Killed

    target.before = die
    with pytest.raises(Killed):
        _run(_plan(target.observed), target)
    plan = plan_rollback(target.observed, SPEC, RolloutPolicy(), release="r3", requested_by="ann", reason="killed")
    assert plan.new is Colour.GREEN
    assert not any(isinstance(step, steps.Switch) for step in plan.steps)
