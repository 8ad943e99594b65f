"""The recovered instance on its Docker host, and the proxy before it: the same steps as a release's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

from coffer.environments import Environment, facts
from coffer.environments.references import resolve_mapping, resolve_text
from coffer.errors import NotThere, OutsideSystemError, StepFailed
from coffer.recovery.recover_plan import RecoveryPlan
from coffer.release import steps
from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedService
from coffer.release.service import ServiceSpec
from coffer.targets.docker_host.host import DockerHost
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.protocol import Fence

# Both places are empty after a disaster; the first one is as good as the other.
_COLOUR = Colour.BLUE
_LEASE = timedelta(hours=4)


class RecoveredService:
    """One service that comes back.

    Args:
        environment: Whose.
        plan: With which image.
    """

    def __init__(self, environment: Environment, plan: RecoveryPlan) -> None:
        self._environment, self._plan = environment, plan
        self._release = f"recover-{plan.id}"

    @cached_property
    def host(self) -> DockerHost:
        """The host; migrations are not looked at, the database is as it was with this image."""
        settings = DockerHostSettings.from_mapping(resolve_mapping(self._environment.target.hosts[0]))
        return DockerHost(settings, secrets=resolve_text)

    @cached_property
    def spec(self) -> ServiceSpec:
        """What the instance gets."""
        return facts.service_spec(self._environment)

    def look(self) -> ObservedService:
        """Look at the host; raises as `Target.observe` does."""
        return self.host.observe(self.spec)

    def stands(self, seen: ObservedService) -> bool:
        """Tell whether the recovered instance runs, healthy, and the proxy sees it."""
        here = seen.at(_COLOUR)
        return here.healthy and here.in_proxy and (here.release, here.image) == (self._release, self._plan.image)

    def has_traffic(self, seen: ObservedService) -> bool:
        """Tell whether people are sent to it, and the record says so."""
        moved = seen.active is _COLOUR and seen.persisted is _COLOUR
        return moved and seen.current is not None and seen.current.release == self._release and seen.intent is None

    def take_out(self) -> str:
        """Send requests to nobody and remove both instances; a release that acts here is shut out."""
        fence = self._fence(takeover=True)
        doing: list[steps.AnyStep] = [steps.Switch(colour=None), steps.ClearIntent()]
        for colour in Colour:
            doing += [steps.LeaveProxy(colour=colour), steps.Remove(colour=colour)]
        self._carry_out(doing, fence)
        return "people get 503 until it is back"

    def fetch(self) -> str:
        """Have the image here, from the engine or the registry.

        Raises:
            NotThere: Both lost it, or nobody knows which one it was.
            OutsideSystemError: The registry does not answer.
        """
        other = f"Name another with --image {self._environment.service.image}@sha256:…"
        if not self._plan.image:
            raise NotThere("no point says which image ran then", resolution=other)
        image = ImageReference.parse(self._plan.image)
        if image.digest in self.host.containers.digests(image.repository):
            return f"{image.short} is here"
        try:
            self.host.containers.fetch(image)
        except NotThere as error:
            raise NotThere(
                f"the image that ran then is lost: neither this engine nor the registry has {image}",
                detail=error.detail,
                resolution=f"Push it again or load it (docker load). {other}",
            ) from error
        except OutsideSystemError as error:
            raise type(error)(
                f"{image.short} is not here, and the registry does not give it",
                detail=error.detail or error.summary,
                resolution=f"Bring the registry back, or load the image (docker load). {other}",
            ) from error
        return f"{image.short} came from the registry"

    def start(self) -> str:
        """Start the instance, see it healthy and up in the proxy, and warm it up.

        Raises:
            StepFailed: It does not get healthy; its last words are in the detail.
        """
        fence, seen = self._fence(), self.look()
        policy = facts.rollout_policy(self._environment)
        claimed = seen.claimed_by == self._release
        doing: list[steps.AnyStep] = [] if claimed else [
            steps.Claim(release=self._release, generation=seen.generation)
        ]  # fmt: skip
        doing += [
            steps.Start(
                colour=_COLOUR, image=self._plan.image, release=self._release, settings_hash=self.spec.settings_hash
            ),
            steps.AwaitHealth(colour=_COLOUR, times=policy.healthy_times, within=self.spec.start_within),
            steps.JoinProxy(colour=_COLOUR, within=policy.proxy_within),
            steps.SmokeTest(colour=_COLOUR, requests=policy.smoke_requests),
        ]
        return self._carry_out(doing, fence)

    def move_traffic(self) -> str:
        """Switch, see fresh requests answered, and record it.

        Raises:
            StepFailed: The front door does not lead there.
        """
        fence, seen = self._fence(), self.look()
        policy = facts.rollout_policy(self._environment)
        said = self._carry_out(
            [
                steps.WriteIntent(colour=_COLOUR),
                steps.Switch(colour=_COLOUR),
                steps.VerifySwitch(colour=_COLOUR, requests=policy.verify_requests),
                steps.Record(colour=_COLOUR, image=self._plan.image, release=self._release, generation=seen.generation),
            ],
            fence,
        )
        self.host.release(fence)
        return said

    def _fence(self, *, takeover: bool = False) -> Fence:
        return self.host.acquire(self._release, _LEASE, takeover=takeover)

    def _carry_out(self, doing: Sequence[steps.AnyStep], fence: Fence) -> str:
        details = []
        for step in doing:
            if not step.is_done(self.look()):
                details.append(self.host.perform(self.spec, step, fence).detail)
                if not step.is_done(self.look()):
                    raise StepFailed(f"could not {step.describe()}", detail=details[-1])
        return "; ".join(detail for detail in details if detail)
