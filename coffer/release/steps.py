"""The steps that a plan is made of: values that describe themselves, know when they are done, and what undoes them."""

from __future__ import annotations

from typing import Union

import msgspec

from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedService


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One SQL file that the image brings.

    Attributes:
        version: What it is sorted by and known by in `schema_migrations`.
        name: File name.
        sha256: Hash of its text.
        phase: `expand` now; `contract` in a later run of its own.
    """

    version: str
    name: str
    sha256: str
    phase: str = "expand"


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="step"):
    """One act with one effect. A second run finds it done and says so."""

    def describe(self) -> str:
        """Return what it does, for people who approve."""
        raise NotImplementedError

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether the world already is as this step would make it."""
        return self.key in observed.journal

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """The steps that take it back, in order."""
        return ()

    @property
    def key(self) -> str:
        """Name within one release."""
        return f"{type(self).__name__}:{getattr(self, 'colour', '')}"


class Claim(Step, tag="claim", frozen=True, kw_only=True):
    """Raise the generation: from here on every older plan for this environment is void."""

    release: str
    generation: int

    def describe(self) -> str:
        """Return what it does."""
        return f"claim the environment as generation {self.generation + 1}"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether this release already acts."""
        return observed.claimed_by == self.release and observed.generation == self.generation + 1


class Expand(Step, tag="expand", frozen=True, kw_only=True):
    """Apply expanding migrations. Undone by nothing: the old version works with the expanded schema."""

    image: str
    migrations: tuple[Migration, ...]

    def describe(self) -> str:
        """Return what it does."""
        return "expand the schema: " + ", ".join(migration.name for migration in self.migrations)

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether every version is applied."""
        return {migration.version for migration in self.migrations} <= set(observed.migrations)


class FetchImage(Step, tag="fetch-image", frozen=True, kw_only=True):
    """Bring the image to the target by its digest."""

    image: str

    def describe(self) -> str:
        """Return what it does."""
        return f"fetch {ImageReference.parse(self.image).short} by its digest"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether the target has these bytes."""
        return ImageReference.parse(self.image).digest in observed.images


class Start(Step, tag="start", frozen=True, kw_only=True):
    """Start an instance beside the one that serves: unpublished, hardened, by digest."""

    colour: Colour
    image: str
    release: str
    settings_hash: str

    def describe(self) -> str:
        """Return what it does."""
        return f"start {self.colour} from {ImageReference.parse(self.image).short}, unpublished"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether exactly this instance runs."""
        here = observed.at(self.colour)
        wanted = (self.image, self.release, self.settings_hash)
        return here.running and (here.image, here.release, here.settings_hash) == wanted

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Remove it."""
        return (Remove(colour=self.colour),)


class Resume(Step, tag="resume", frozen=True, kw_only=True):
    """Start an instance again that was stopped but kept."""

    colour: Colour

    def describe(self) -> str:
        """Return what it does."""
        return f"start {self.colour} again as it was"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether it runs."""
        return observed.at(self.colour).running


class AwaitHealth(Step, tag="await-health", frozen=True, kw_only=True):
    """Wait until the instance itself says several times in a row that it can serve."""

    colour: Colour
    times: int
    within: float

    def describe(self) -> str:
        """Return what it does."""
        return f"wait until {self.colour} is healthy {self.times} times in a row (≤ {self.within:g} s)"


class JoinProxy(Step, tag="join-proxy", frozen=True, kw_only=True):
    """Give the proxy the instance's address and wait until the proxy's own checks see it up."""

    colour: Colour
    within: float

    def describe(self) -> str:
        """Return what it does."""
        return f"give {self.colour} to the proxy and wait until its checks pass (≤ {self.within:g} s)"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether the proxy sees this very instance up."""
        return observed.at(self.colour).in_proxy

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Take it out again."""
        return (LeaveProxy(colour=self.colour),)


class SmokeTest(Step, tag="smoke-test", frozen=True, kw_only=True):
    """Warm the instance up and ask it real questions, alone, through the proxy's door for it."""

    colour: Colour
    requests: int

    def describe(self) -> str:
        """Return what it does."""
        return f"warm {self.colour} up with {self.requests} requests and test it alone"


class WriteIntent(Step, tag="write-intent", frozen=True, kw_only=True):
    """Write down what is about to happen, so that whoever comes after a crash knows."""

    colour: Colour

    def describe(self) -> str:
        """Return what it does."""
        return f"write down the intent to switch to {self.colour}"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether it stands there."""
        return observed.intent is self.colour

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Strike it out."""
        return (ClearIntent(),)


class Switch(Step, tag="switch", frozen=True, kw_only=True):
    """Send new requests to a colour: one `set map`, read back, then on disk. `back` is where undo leads."""

    colour: Colour | None
    back: Colour | None = None

    def describe(self) -> str:
        """Return what it does."""
        return f"switch to {self.colour or 'nobody (503)'}"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether memory and disk both say so."""
        return observed.active is self.colour and observed.persisted is self.colour

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Switch to what served before."""
        return (Switch(colour=self.back, back=self.colour),)


class VerifySwitch(Step, tag="verify-switch", frozen=True, kw_only=True):
    """Ask through the front door until a row of fresh requests was answered by the colour."""

    colour: Colour
    requests: int

    def describe(self) -> str:
        """Return what it does."""
        return f"see {self.requests} fresh requests in a row answered by {self.colour}"


class Drain(Step, tag="drain", frozen=True, kw_only=True):
    """Let an instance finish: WebSockets are told to come again, requests in flight end; it keeps running."""

    colour: Colour
    signal: str
    http_within: float
    websocket_within: float
    reopen: str = ""

    def describe(self) -> str:
        """Return what it does."""
        return f"drain {self.colour} (HTTP ≤ {self.http_within:g} s, WebSocket ≤ {self.websocket_within:g} s)"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether it was drained or does not run."""
        return not observed.at(self.colour).running or self.key in observed.journal

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Let it take WebSockets again."""
        return (Reopen(colour=self.colour, signal=self.reopen),) if self.reopen else ()


class Reopen(Step, tag="reopen", frozen=True, kw_only=True):
    """Tell a drained instance that it serves after all."""

    colour: Colour
    signal: str

    def describe(self) -> str:
        """Return what it does."""
        return f"let {self.colour} take WebSockets again"


class Soak(Step, tag="soak", frozen=True, kw_only=True):
    """Watch the new instance under real traffic while the old one stands ready at full size."""

    colour: Colour
    seconds: float
    error_rate: float

    def describe(self) -> str:
        """Return what it does."""
        return f"watch {self.colour} for {self.seconds:g} s (back at > {self.error_rate:.2%} errors)"


class Stop(Step, tag="stop", frozen=True, kw_only=True):
    """Stop an instance that nothing is sent to, and keep it for a way back."""

    colour: Colour

    def describe(self) -> str:
        """Return what it does."""
        return f"stop {self.colour} and keep it"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether it does not run."""
        return not observed.at(self.colour).running

    @property
    def undo(self) -> tuple[AnyStep, ...]:
        """Bring it back to where the proxy could send to it."""
        again = AwaitHealth(colour=self.colour, times=1, within=30.0)
        return (Resume(colour=self.colour), again, JoinProxy(colour=self.colour, within=30.0))


class Record(Step, tag="record", frozen=True, kw_only=True):
    """Write down on the target what serves now; the intent is fulfilled."""

    colour: Colour
    image: str
    release: str
    generation: int

    def describe(self) -> str:
        """Return what it does."""
        return f"record {self.colour} ({ImageReference.parse(self.image).short}) as current"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether the record names this release, under this plan's generation, and nothing is under way."""
        current = observed.current
        mine = current is not None and (current.release, current.generation) == (self.release, self.generation)
        return mine and observed.intent is None


class Remove(Step, tag="remove", frozen=True, kw_only=True):
    """Remove an instance that nothing is sent to."""

    colour: Colour

    def describe(self) -> str:
        """Return what it does."""
        return f"remove {self.colour}"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether it is gone."""
        return not observed.at(self.colour).exists


class LeaveProxy(Step, tag="leave-proxy", frozen=True, kw_only=True):
    """Take an instance's address out of the proxy."""

    colour: Colour

    def describe(self) -> str:
        """Return what it does."""
        return f"take {self.colour} out of the proxy"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether the proxy has no address for it."""
        return not observed.at(self.colour).proxy_address


class ClearIntent(Step, tag="clear-intent", frozen=True, kw_only=True):
    """Strike out the intent; the release did not happen."""

    def describe(self) -> str:
        """Return what it does."""
        return "strike out the intent"

    def is_done(self, observed: ObservedService) -> bool:
        """Tell whether nothing is under way, and nothing is remembered of it."""
        return observed.intent is None and not observed.journal


AnyStep = Union[  # noqa: UP007 - msgspec resolves it from a name that forward references use
    Claim, Expand, FetchImage, Start, Resume, AwaitHealth, JoinProxy, SmokeTest, WriteIntent, Switch, VerifySwitch,
    Drain, Reopen, Soak, Stop, Record, Remove, LeaveProxy, ClearIntent,
]  # fmt: skip
