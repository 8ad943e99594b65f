"""What a target says is so, at one moment. Facts go stale: look again between two steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Colour(StrEnum):
    """The two places that an instance can stand in."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """The other place."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True)
class Released:
    """One release as the target remembers it.

    Attributes:
        release: Id of the release.
        image: `repository@sha256:…`.
        colour: Where it stands.
        generation: The environment's generation under which it was recorded: the same release may come again.
    """

    release: str
    image: str
    colour: Colour
    generation: int = 0


@dataclass(frozen=True)
class ObservedColour:
    """One instance, and what the proxy thinks of it.

    Attributes:
        exists: There is a container, running or not.
        running: Its process runs.
        healthy: Its health path answered 200 just now.
        image: `repository@sha256:…` it was started from; empty if it does not exist.
        settings_hash: Hash of the ServiceSpec it was started with.
        release: Release that started it.
        address: `ip:port` on the environment's network; empty if it does not run.
        proxy_address: `ip:port` that the proxy would send to.
        proxy_up: The proxy's own checks say it is up.
        http_sessions: Requests in flight through the proxy.
        websocket_sessions: WebSockets through the proxy.
    """

    exists: bool = False
    running: bool = False
    healthy: bool = False
    image: str = ""
    settings_hash: str = ""
    release: str = ""
    address: str = ""
    proxy_address: str = ""
    proxy_up: bool = False
    http_sessions: int = 0
    websocket_sessions: int = 0

    @property
    def in_proxy(self) -> bool:
        """Whether the proxy sends to this very instance and sees it up."""
        return self.proxy_up and bool(self.address) and self.proxy_address == self.address


@dataclass(frozen=True)
class ObservedService:
    """One service on one target.

    Attributes:
        service: Its name.
        environment: Its environment.
        active: Colour that the proxy sends to now; None before the first release.
        persisted: Colour that the proxy would send to after a restart.
        blue: The one place.
        green: The other place.
        generation: Raised by every release and rollback that began to act.
        claimed_by: Release that raised it last.
        intent: Colour that the acting release is switching to; None when nothing is under way.
        journal: Keys of steps that the acting release has done and that leave no other trace.
        current: Release that was recorded last.
        previous: Release before that.
        images: Digests present on the target.
        migrations: Versions applied to the database.
    """

    service: str
    environment: str
    active: Colour | None = None
    persisted: Colour | None = None
    blue: ObservedColour = field(default_factory=ObservedColour)
    green: ObservedColour = field(default_factory=ObservedColour)
    generation: int = 0
    claimed_by: str = ""
    intent: Colour | None = None
    journal: tuple[str, ...] = ()
    current: Released | None = None
    previous: Released | None = None
    images: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()

    def at(self, colour: Colour) -> ObservedColour:
        """The instance at a colour."""
        return self.blue if colour is Colour.BLUE else self.green

    @property
    def serving(self) -> ObservedColour | None:
        """The instance that requests go to."""
        return self.at(self.active) if self.active else None
