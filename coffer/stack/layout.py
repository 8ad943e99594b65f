"""The state folder: what lies where, and who may walk through it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import coffer
from coffer.errors import UsageError

ENVIRONMENTS = ("production", "staging")
STATE_VARIABLE = "COFFER_STATE"
HOME_VARIABLE = "COFFER_HOME"
# The kernel's limit is 107; PostgreSQL and HAProxy add to names while they work.
_LONGEST_SOCKET = 99
_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of ours in it, with modes of their own
_SCRATCH_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Layout:
    """Paths below the state folder.

    Attributes:
        state: The folder itself.
        home: The checkout: flows/, deployments/ and prefect.yaml are in it.
    """

    state: Path
    home: Path

    @classmethod
    def of_process(cls) -> Layout:
        """Return the layout of COFFER_STATE and COFFER_HOME, or of this account's default place and this checkout.

        Raises:
            UsageError: Coffer is installed without its deployments/ folder.
        """
        default = Path("/var/lib/coffer") if os.geteuid() == 0 else Path.home() / ".local" / "state" / "coffer"
        home = Path(os.environ.get(HOME_VARIABLE) or Path(coffer.__file__).resolve().parents[1]).absolute()
        if not (home / "deployments" / "local").is_dir():
            raise UsageError(
                "the local stack needs a checkout of Coffer",
                detail=f"{home} has no deployments/local",
                resolution="Clone the repository and run: make install",
            )
        return cls(Path(os.environ.get(STATE_VARIABLE) or default).expanduser().absolute(), home)

    @property
    def secrets(self) -> Path:
        """Secrets made at first start, one a file."""
        return self.state / "secrets"

    @property
    def escrow(self) -> Path:
        """What opens recovery points: the escrow worker's alone."""
        return self.state / "escrow"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """The supervisor's socket, process id and configuration."""
        return self.state / "run"

    @property
    def edge(self) -> Path:
        """The local certificate authority and the edge's certificate."""
        return self.state / "edge"

    @property
    def scratch(self) -> Path:
        """Where flows unpack images and run throw-away services: in memory where the machine has room for it.

        Half a gigabyte written to the disk that production's log is on makes its commits wait for seconds.
        """
        try:
            memory = os.statvfs(_MEMORY)
        except OSError:
            return self.state / "scratch"
        roomy = memory.f_bavail * memory.f_frsize >= _SCRATCH_BYTES
        name = hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
        return _MEMORY / f"coffer-{name}" if roomy else self.state / "scratch"

    @property
    def reports(self) -> Path:
        """Pages about drills."""
        return self.state / "reports"

    @property
    def approvers(self) -> Path:
        """Keys of the people who approve here: this machine plays them all."""
        return self.state / "approvers"

    @property
    def document(self) -> Path:
        """What blocks and flows read to find everything."""
        return self.state / "stack.json"

    @property
    def marker(self) -> Path:
        """Says that the state folder was made by us, so that it may be removed wholly."""
        return self.state / ".coffer-stack"

    def environment(self, name: str) -> Path:
        """Return the directory of one environment, which is its Docker host's."""
        return self.state / name

    def sockets(self, environment: str, service: str) -> Path:
        """Return the folder of a service's UNIX socket, which containers mount."""
        return self.environment(environment) / "sockets" / service

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            UsageError: The path is too long for UNIX sockets, or other accounts cannot walk to it.
        """
        self.check()
        ours = not self.state.exists() or not any(self.state.iterdir())
        for private in (self.secrets, self.escrow, self.approvers, self.reports, self.logs, self.run):
            private.mkdir(parents=True, exist_ok=True)
            private.chmod(0o700)
        for shared in (self.state, self.edge, *(self.environment(name) for name in ENVIRONMENTS)):
            shared.mkdir(parents=True, exist_ok=True)
            shared.chmod(0o755)
        for name in ENVIRONMENTS:
            for service in ("postgres", "redis"):
                self.sockets(name, service).mkdir(parents=True, exist_ok=True)
        if ours:
            self.marker.touch()
        if os.geteuid() == 0:
            self._check_walkable()

    def check(self) -> None:
        """Refuse a path that is too long for the sockets below it.

        Raises:
            UsageError: It is.
        """
        longest = self.sockets("production", "postgres") / ".s.PGSQL.65535"
        if len(str(longest)) > _LONGEST_SOCKET:
            raise UsageError(
                "the state folder's path is too long",
                detail=f"the socket {longest} would have {len(str(longest))} characters of at most {_LONGEST_SOCKET}",
                resolution=f"Set {STATE_VARIABLE} to a shorter path",
            )

    def _check_walkable(self) -> None:
        for folder in self.state.parents:
            if not folder.stat().st_mode & 0o001:
                raise UsageError(
                    "PostgreSQL's account could not reach the state folder",
                    detail=f"other accounts may not walk through {folder}",
                    resolution=f"Set {STATE_VARIABLE} to a folder elsewhere, /var/lib/coffer for example",
                )
