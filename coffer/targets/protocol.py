"""What a place must be able to do so that a release can run there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from coffer.release.observed import ObservedService
from coffer.release.service import ServiceSpec
from coffer.release.steps import AnyStep


@dataclass(frozen=True)
class Fence:
    """The right to change a target. A target refuses every token lower than the highest it has given out.

    Attributes:
        token: Raised each time somebody takes the lease.
        owner: Release that holds it.
    """

    token: int
    owner: str


@dataclass(frozen=True)
class Effect:
    """What an act saw.

    Attributes:
        detail: One line for people.
        figures: Measurements, by name with unit.
    """

    detail: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepOutcome:
    """One step of a plan, carried out.

    Attributes:
        step: What it does, for people.
        done_before: It was found done and nothing was changed.
        detail: What it saw.
        seconds: How long it took.
        figures: Measurements, by name with unit.
    """

    step: str
    done_before: bool
    detail: str = ""
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


class Target(Protocol):
    """A place where a service runs."""

    def observe(self, service: ServiceSpec) -> ObservedService:
        """Look, without changing anything.

        Raises:
            Unreachable: The place does not answer; nothing is known then.
        """
        ...

    def perform(self, service: ServiceSpec, step: AnyStep, fence: Fence) -> Effect:
        """Carry out one step. Doing it again is harmless.

        Raises:
            HeldByAnother: A higher fence was given out since.
            StepFailed: The state that the step promises was not reached.
        """
        ...

    def acquire(self, owner: str, within: timedelta, *, takeover: bool = False) -> Fence:
        """Take the lease. The same owner may take it again: its earlier process is shut out.

        Args:
            owner: Id of the release.
            within: Time after which others may take it without asking.
            takeover: Take it from whoever holds it: a rollback does not wait for the release that it ends.

        Raises:
            HeldByAnother: Another release holds it.
        """
        ...

    def release(self, fence: Fence) -> None:
        """Give the lease back; nothing happens if somebody else has it by now."""
        ...
