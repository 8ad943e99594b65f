"""Runs the steps of a recovery: look, act, look again, write it down. What is done is never done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coffer.errors import CofferError, HeldByAnother, StepFailed
from coffer.recovery.recover_journal import Journal
from coffer.recovery.recover_steps import Observed, Step


class Actor(Protocol):
    """Whoever looks and acts."""

    def observe(self, step: Step) -> Observed:
        """Look, without changing anything, at what a step needs to be judged by."""
        ...

    def perform(self, step: Step) -> str:
        """Carry out a step and return what was seen; doing it again is harmless."""
        ...


@dataclass(frozen=True)
class Outcome:
    """One step, carried out or found done.

    Attributes:
        step: Which.
        done_before: It was found done.
        seconds: How long this attempt took.
        detail: What was seen.
    """

    step: Step
    done_before: bool
    seconds: float
    detail: str


def perform_step(step: Step, actor: Actor, journal: Journal) -> Outcome:
    """Carry out one step, or find it done.

    Raises:
        StepFailed: It was carried out, and its state was not reached.
        CofferError: Whatever stopped it.
    """
    begin = time.monotonic()
    known = journal.record.done.get(step.key)
    if step.is_done(actor.observe(step)):
        if known is None:
            # A crash came between the act and its note.
            journal.note(step.key, 0.0, "found done")
        return Outcome(step, True, time.monotonic() - begin, known.detail if known else "found done")
    detail = actor.perform(step)
    seconds = time.monotonic() - begin
    seen = actor.observe(step)
    if not step.is_done(replace(seen, noted=seen.noted | {step.key})):
        raise StepFailed(f"could not {step.what}", detail=detail or "it was done, but it is not so")
    journal.note(step.key, seconds, detail)
    return Outcome(step, False, seconds, detail)


def execute(
    steps: Sequence[Step], actor: Actor, journal: Journal, *, again: str, log: Callable[[str], None]
) -> list[Outcome]:
    """Carry out what is left of a recovery; after a failure everything stays as it is.

    Args:
        steps: All of its steps.
        actor: Who acts.
        journal: What was done before.
        again: What a person types to go on.
        log: Called with a line before and after each step.

    Raises:
        CofferError: A step failed; the error says at which and what to type.
    """
    outcomes = []
    for number, step in enumerate(steps, 1):
        try:
            outcome = perform_step(step, actor, journal)
        except HeldByAnother:
            raise
        except CofferError as error:
            raise stopped_at(step, number, len(steps), error, again) from error
        how = "was done" if outcome.done_before else f"{outcome.seconds:.1f} s"
        log(f"[{number}/{len(steps)}] {step.what}: {how}{f', {outcome.detail}' if outcome.detail else ''}")
        outcomes.append(outcome)
    return outcomes


def stopped_at(step: Step, number: int, count: int, error: CofferError, again: str) -> CofferError:
    """Return an error of the same kind that says where the recovery stands and how it goes on."""
    reason = f"{error.summary}: {error.detail}" if error.detail else error.summary
    mend = f"{error.resolution.rstrip('.')}. " if error.resolution else ""
    return type(error)(
        f"the recovery stopped at step {number} of {count}, {step.what}",
        detail=reason,
        resolution=f"{mend}Nothing is lost, all before it stays done; go on with: {again}",
    )
