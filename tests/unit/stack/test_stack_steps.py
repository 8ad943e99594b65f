"""Steps that wait for each other."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import StepFailed
from coffer.stack.down import waves_of_ending
from coffer.stack.service import Service
from coffer.stack.steps import Outcome, Step, in_order, run_steps


def run(*steps: Step) -> list[str]:
    done: list[Outcome] = []
    run_steps(steps, done=done.append, waiting=lambda names: None)
    return [outcome.name for outcome in done]


def step(name: str, *after: str) -> Step:
    return Step(name, lambda: "ready", after)


@given(st.lists(st.sets(st.integers(0, 11)), max_size=12))
def test_every_step_comes_after_what_it_waits_for(links: list[set[int]]) -> None:
    steps = [step(str(i), *(str(j) for j in sorted(after) if j < i)) for i, after in enumerate(links)]
    order = [each.name for each in in_order(reversed(steps))]
    assert sorted(order, key=int) == [each.name for each in steps]
    for each in steps:
        assert all(order.index(before) < order.index(each.name) for before in each.after)


def test_steps_run_side_by_side() -> None:
    meet = threading.Barrier(2, timeout=10)
    assert set(run(Step("a", lambda: str(meet.wait())), Step("b", lambda: str(meet.wait())))) == {"a", "b"}


def test_a_failure_stops_what_waits_for_it_and_nothing_else() -> None:
    def fail() -> str:
        raise StepFailed("no room")

    done: list[str] = []
    steps = [step("c", "b"), Step("b", fail, ("a",)), step("a"), step("d", "a")]
    with pytest.raises(StepFailed, match="no room"):
        run_steps(steps, done=lambda outcome: done.append(outcome.name), waiting=lambda names: None)
    assert sorted(done) == ["a", "d"]


@pytest.mark.parametrize("steps", [[step("a", "b"), step("b", "a")], [step("a", "nowhere")]])
def test_steps_that_can_never_run_are_named(steps: list[Step]) -> None:
    with pytest.raises(StepFailed, match="wait for each other"):
        run(*steps)


def test_services_end_in_waves_with_those_that_use_others_first() -> None:
    def service(name: str, *after: str) -> Service:
        return Service(name, ("true",), ready=lambda: None, address="", after=after)

    services = [service("db"), service("server", "db"), service("worker", "server", "job"), service("mail")]
    assert waves_of_ending(services) == [["mail", "worker"], ["server"], ["db"]]
