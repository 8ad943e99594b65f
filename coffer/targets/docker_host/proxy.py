"""The two colours as HAProxy has them: address, checks, sessions, and the one switch."""

from __future__ import annotations

from dataclasses import dataclass

from coffer.errors import IntegrityError
from coffer.release.observed import Colour
from coffer.targets.docker_host import files, servers_file
from coffer.targets.docker_host.haproxy import BackendCounters, RuntimeSocket
from coffer.targets.docker_host.settings import DockerHostSettings

# What edge.py writes: discard port of the loopback, which nothing answers.
_NOWHERE = ("127.0.0.1", 9)
_KEY = "active"
_NOBODY = "none"


@dataclass(frozen=True)
class ProxiedColour:
    """One colour in HAProxy.

    Attributes:
        address: `ip:port`, empty while it has none.
        up: HAProxy's own checks pass, and WebSockets follow.
        http_sessions: Requests in flight.
        websocket_sessions: WebSockets open.
    """

    address: str
    up: bool
    http_sessions: int
    websocket_sessions: int


class Proxy:
    """HAProxy of one environment."""

    def __init__(self, settings: DockerHostSettings) -> None:
        self._settings = settings
        self._runtime = RuntimeSocket(settings.haproxy_socket)

    def active(self) -> Colour | None:
        """The colour that requests go to now."""
        return _colour(self._runtime.map_value(self._settings.map_file, _KEY))

    def persisted(self) -> Colour | None:
        """The colour that requests would go to after a restart."""
        for line in self._settings.map_file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == _KEY:
                return _colour(value)
        return None

    def colours(self) -> dict[Colour, ProxiedColour]:
        """Both colours at one moment."""
        servers, counters = self._runtime.servers(), self._runtime.counters()
        found = {}
        for colour in Colour:
            http, websocket = servers[f"http_{colour}", "s1"], servers[f"ws_{colour}", "s1"]
            nowhere = (http.address, http.port) == _NOWHERE
            found[colour] = ProxiedColour(
                "" if nowhere else f"{http.address}:{http.port}",
                up=http.up and websocket.up and (websocket.address, websocket.port) == (http.address, http.port),
                http_sessions=counters[f"http_{colour}"].sessions,
                websocket_sessions=counters[f"ws_{colour}"].sessions,
            )
        return found

    def counters(self, colour: Colour) -> BackendCounters:
        """What the colour's HTTP backend counted."""
        return self._runtime.counters()[f"http_{colour}"]

    def point(self, colour: Colour, address: str, port: int) -> None:
        """Give a colour an address; unless it serves, it counts as down until its checks pass there."""
        for kind in ("http", "ws"):
            self._runtime.set_address(f"{kind}_{colour}", "s1", address, port)
        if self.active() is not colour:
            self._runtime.mark_down(f"http_{colour}", "s1")

    def unpoint(self, colour: Colour) -> None:
        """Take a colour's address away. Connections that are open stay open."""
        self.point(colour, *_NOWHERE)
        self.persist_servers()

    def persist_servers(self) -> None:
        """Write addresses to where HAProxy starts from."""
        found = {backend: f"{one.address}:{one.port}" for (backend, _), one in self._runtime.servers().items()}
        path = self._settings.proxy_file
        files.replace(path, servers_file.with_addresses(path.read_text(), found))

    def switch(self, colour: Colour | None) -> None:
        """Send requests to a colour: memory first, read back; then the file, by rename, read back.

        Raises:
            OutsideSystemError: The map in memory did not change.
            IntegrityError: The file does not say what was written.
        """
        self._runtime.set_map(self._settings.map_file, _KEY, colour or _NOBODY)
        files.replace(self._settings.map_file, f"{_KEY} {colour or _NOBODY}\n")
        if self.persisted() is not colour:
            raise IntegrityError("the map's file does not say what was written", detail=str(self._settings.map_file))


def _colour(value: str | None) -> Colour | None:
    return Colour(value) if value in tuple(Colour) else None
