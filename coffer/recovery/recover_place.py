"""Where a recovered service stands: its folders, its sockets, and who keeps its programs running."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from coffer.environments import Environment
from coffer.environments.references import resolve_mapping, resolve_text
from coffer.errors import UnsafeTarget, UsageError
from coffer.recovery.access import recovery_of
from coffer.sources.postgres.programs import Programs, database_user, programs

_DATABASE_VARIABLE = "DATABASE_URL"
_DEFAULT_PORT = 5432


@dataclass(frozen=True)
class RecoveryPlace:
    """The places of one environment on one host.

    Attributes:
        directory: The environment's directory.
        postgres: Data folder.
        postgres_sockets: Folder of PostgreSQL's socket.
        postgres_port: Its port, part of the socket's name.
        postgres_user: Account that runs it.
        programs: PostgreSQL's programs.
        uploads: Folder of the files.
        redis: Redis's folder.
        redis_sockets: Folder of Redis's socket.
        keeper: `own`, `systemd` or `supervisor:SOCKET`.
        units: Names of the programs with the keeper.
    """

    directory: Path
    postgres: Path
    postgres_sockets: Path
    postgres_port: int
    postgres_user: str
    programs: Programs
    uploads: Path
    redis: Path
    redis_sockets: Path
    keeper: str
    units: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, environment: Environment) -> RecoveryPlace:
        """Read an environment's place.

        Raises:
            UsageError: Its host names no directory.
        """
        place = recovery_of(environment).place
        fields = resolve_mapping(environment.target.hosts[0])
        if not fields.get("directory"):
            raise UsageError(f"{environment.target.hosts[0]} names no directory to recover into")
        directory = Path(str(fields["directory"]))
        kind, colon, socket = place.keeper.partition(":")
        return cls(
            directory=directory,
            postgres=directory / place.postgres,
            postgres_sockets=directory / place.postgres_sockets,
            postgres_port=_port(environment),
            postgres_user=place.postgres_user or database_user(),
            programs=Programs(Path(place.postgres_programs)) if place.postgres_programs else programs(),
            uploads=directory / place.uploads,
            redis=directory / place.redis,
            redis_sockets=directory / place.redis_sockets,
            keeper=kind + colon + (os.path.normpath(directory / os.path.expandvars(socket)) if colon else ""),
            units={str(role): unit for role, unit in place.units.items()},
        )

    @property
    def work(self) -> Path:
        """Folder for journals and for what a recovery needs while it runs."""
        return self.directory / "recovery"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket."""
        return self.redis_sockets / "redis.sock"

    def data_folders(self) -> tuple[Path, ...]:
        """Return what holds data and is replaced."""
        return (self.postgres, self.uploads, self.redis)

    def aside(self, path: Path, recovery: str) -> Path:
        """Return the name under which old data stays."""
        return path.with_name(f"{path.name}.before-{recovery}")

    def staging(self, path: Path, recovery: str) -> Path:
        """Return where a folder grows until it is whole."""
        return path.with_name(f".{path.name}.recovering-{recovery}")

    def refuse_mount_points(self) -> None:
        """Refuse places that cannot be renamed.

        Raises:
            UnsafeTarget: One is a mount point.
        """
        for path in self.data_folders():
            if path.is_mount():
                raise UnsafeTarget(
                    f"{path} is a mount point, so what is in it cannot be set aside by a rename",
                    resolution="Name a folder inside it in [recovery.place]",
                )


def _port(environment: Environment) -> int:
    reference = environment.service.secrets.get(_DATABASE_VARIABLE)
    if reference is None:
        return _DEFAULT_PORT
    return int(str(conninfo_to_dict(resolve_text(reference)).get("port") or _DEFAULT_PORT))
