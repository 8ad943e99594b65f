"""A target that is only a value: steps change what is observed, or fail where the test says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from coffer.errors import HeldByAnother, StepFailed, UnsafeTarget
from coffer.release import steps
from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedColour, ObservedService, Released
from coffer.release.service import ServiceSpec
from coffer.targets.protocol import Effect, Fence
from tests.unit.release.release_facts import instance


class MemoryTarget:
    """`fails` names step classes that fail; `before` and `after` are called around every effect."""

    def __init__(self, observed: ObservedService, *, fails: tuple[str, ...] = ()) -> None:
        self.observed = observed
        self.fails = fails
        self.performed: list[str] = []
        self.before: Callable[[steps.Step], None] = lambda _: None
        self.after: Callable[[steps.Step], None] = lambda _: None
        self._token = 0

    def observe(self, service: ServiceSpec) -> ObservedService:
        return self.observed

    def acquire(self, owner: str, within: timedelta, *, takeover: bool = False) -> Fence:
        self._token += 1
        return Fence(self._token, owner)

    def release(self, fence: Fence) -> None:
        pass

    def perform(self, service: ServiceSpec, step: steps.AnyStep, fence: Fence) -> Effect:
        if fence.token < self._token:
            raise HeldByAnother("another release took over this host")
        if type(step).__name__ in self.fails:
            raise StepFailed(f"{type(step).__name__} failed")
        self.before(step)
        self.performed.append(step.key)
        self._apply(step)
        self.after(step)
        return Effect()

    def _apply(self, step: steps.AnyStep) -> None:
        see = self.observed
        match step:
            case steps.Claim():
                self._set(generation=see.generation + 1, claimed_by=step.release, journal=(), intent=None)
            case steps.FetchImage():
                self._set(images=(*see.images, ImageReference.parse(step.image).digest))
            case steps.Expand():
                self._set(migrations=(*see.migrations, *(one.version for one in step.migrations)))
            case steps.Start():
                self._refuse_active(step.colour)
                new = instance(ImageReference.parse(step.image), step.colour, release=step.release)
                self._at(step.colour, replace(new, proxy_address="", proxy_up=False))
            case steps.Resume():
                old = see.at(step.colour)
                started = instance(ImageReference.parse(old.image), step.colour, release=old.release)
                self._at(step.colour, replace(started, proxy_address="", proxy_up=False))
            case steps.JoinProxy():
                self._at(
                    step.colour, replace(see.at(step.colour), proxy_address=see.at(step.colour).address, proxy_up=True)
                )
            case steps.WriteIntent():
                self._set(intent=step.colour)
            case steps.Switch():
                self._set(active=step.colour)
                self.after(step)  # between memory and disk
                self._set(persisted=step.colour)
            case steps.Stop():
                self._refuse_active(step.colour)
                stopped = replace(see.at(step.colour), running=False, healthy=False, address="", proxy_address="")
                self._at(step.colour, replace(stopped, proxy_up=False))
            case steps.Record():
                previous = see.current if see.current and see.current.release != step.release else see.previous
                current = Released(step.release, step.image, step.colour, step.generation)
                self._set(current=current, previous=previous, intent=None, journal=())
            case steps.Remove():
                self._refuse_active(step.colour)
                self._at(step.colour, ObservedColour())
            case steps.LeaveProxy():
                self._refuse_active(step.colour)
                self._at(step.colour, replace(see.at(step.colour), proxy_address="", proxy_up=False))
            case steps.ClearIntent():
                self._set(intent=None, journal=())
            case _:
                self._set(journal=(*see.journal, step.key))

    def _refuse_active(self, colour: Colour) -> None:
        if self.observed.active is colour:
            raise UnsafeTarget(f"requests go to {colour}")

    def _set(self, **fields: object) -> None:
        self.observed = replace(self.observed, **fields)  # type: ignore[arg-type]

    def _at(self, colour: Colour, instance: ObservedColour) -> None:
        self._set(**{str(colour): instance})
