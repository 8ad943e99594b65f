"""Runs steps that wait for each other, side by side where they may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from coffer.errors import CofferError, StepFailed


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        name: Its name; others wait for it by that.
        act: Does it, and returns a word for people about the result.
        after: What must be done before.
    """

    name: str
    act: Callable[[], str]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a step went.

    Attributes:
        name: The step's name.
        word: What it says of its result.
        seconds: How long it took.
    """

    name: str
    word: str
    seconds: float


class _Skipped(Exception):
    """Something it waits for failed."""


def run_steps(steps: Iterable[Step], *, done: Callable[[Outcome], None], waiting: Callable[[list[str]], None]) -> None:
    """Do every step as soon as what it waits for is done.

    What does not depend on a failed step is still brought to its end.

    Args:
        steps: All of them, in any order.
        done: Told of each that is done.
        waiting: Told which are under way, whenever that changes.

    Raises:
        StepFailed: Steps wait for each other in a circle, or for one that is not there.
        CofferError: The first error of a step.
    """
    ordered = in_order(steps)
    lock, active, failures = threading.Lock(), list[str](), list[BaseException]()
    futures: dict[str, Future[None]] = {}

    def change(name: str, *, begins: bool) -> None:
        with lock:
            active.append(name) if begins else active.remove(name)
            waiting(list(active))

    def perform(step: Step) -> None:
        for name in step.after:
            if futures[name].exception():
                raise _Skipped
        change(step.name, begins=True)
        began = time.monotonic()
        try:
            word = step.act()
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            change(step.name, begins=False)
        with lock:
            done(Outcome(step.name, word, time.monotonic() - began))

    # In order, and one thread a step: none can wait for one that has no thread yet.
    with ThreadPoolExecutor(max_workers=max(1, len(ordered))) as pool:
        for step in ordered:
            futures[step.name] = pool.submit(perform, step)
    if failures:
        raise next((error for error in failures if isinstance(error, CofferError)), failures[0])


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Return the steps so that each comes after what it waits for.

    Raises:
        StepFailed: There is no such order.
    """
    left, ordered, names = list(steps), list[Step](), set[str]()
    while left:
        ready = [step for step in left if names.issuperset(step.after)]
        if not ready:
            stuck = {step.name: [name for name in step.after if name not in names] for step in left}
            raise StepFailed("the steps wait for each other, or for one that is not there", detail=str(stuck))
        ordered += ready
        names |= {step.name for step in ready}
        left = [step for step in left if step not in ready]
    return ordered
