"""A sequence that breaks a promise, made as short as it can be while it still does."""

from __future__ import annotations

import pprint
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.soak.actions import Action, sequence
from tests.soak.model import play


def failure_of(actions: Sequence[Action], *, clean_up: bool = True) -> BaseException | None:
    """Play a sequence; return what it broke."""
    try:
        play(actions, clean_up=clean_up)
    except Exception as error:  # whatever it is, it is a finding
        return error
    return None


def shrink(actions: Sequence[Action], fails: Callable[[Sequence[Action]], bool]) -> Sequence[Action]:
    """Leave out actions and disturbances as long as a sequence still fails."""
    again = True
    while again:
        again = False
        for shorter in _shorter(actions):
            if fails(shorter):
                actions, again = shorter, True
                break
    return actions


def report(seed: int, failure: BaseException) -> str:
    """Return all that is needed to see a failure again."""
    kind = type(failure)
    short = shrink(sequence(seed), lambda actions: type(failure_of(actions)) is kind)
    last = failure_of(short) or failure
    trace = "".join(traceback.format_exception(last))
    return f"seed {seed}: {failure}\n{trace}\nshortest: play(\n{pprint.pformat(list(short), width=118)})"


def _shorter(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    for at in range(len(actions)):
        yield [*actions[:at], *actions[at + 1 :]]
    for at, action in enumerate(actions):
        if action.disturbance is not None:
            yield [*actions[:at], replace(action, disturbance=None), *actions[at + 1 :]]
            runs = action.disturbance.runs
            for left_out in range(len(runs)) if len(runs) > 1 else ():
                fewer = replace(action.disturbance, runs=(*runs[:left_out], *runs[left_out + 1 :]))
                yield [*actions[:at], replace(action, disturbance=fewer), *actions[at + 1 :]]
