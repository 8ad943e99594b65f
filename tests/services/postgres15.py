"""A throw-away PostgreSQL 15 of Debian's: no WAL summaries, no built-in locale provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from coffer.processes import run
from coffer.sources.postgres.programs import Programs, own, run_as
from coffer.sources.postgres.server import PostgresServer
from coffer.stack.packages import services_stay_off
from tests.services.throwaway import free_ports

_PREFIX = Path("/usr/lib/postgresql/15")
_INSTALL_SECONDS = 600


def programs15() -> Programs:
    """Return Debian's PostgreSQL 15, installed first where it is not there."""
    if not (_PREFIX / "bin" / "pg_amcheck").exists():
        with services_stay_off():
            environment = {"DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "-q"], timeout=_INSTALL_SECONDS, environment=environment)
            run(
                ["apt-get", "install", "-q", "-y", "--no-install-recommends", "postgresql-15"],
                timeout=_INSTALL_SECONDS,
                environment=environment,
            )
    return Programs(_PREFIX)


class Postgres15(PostgresServer):
    """A cluster in its own folder; a `with` block makes, starts and stops it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(
            folder / "data",
            port=free_ports(1)[0],
            socket_dir=folder / "s",
            settings={"fsync": "off", **settings},
            installation=programs15(),
        )
        del self._settings["summarize_wal"]

    def _initdb(self, data: Path) -> None:
        own(data, self.user)
        run(
            [self.programs.path("initdb"), "-N", "-k", "-D", data, "-U", self.superuser, "-E", "UTF8",
             "--locale=C.UTF-8", "--auth-local=peer", "--auth-host=scram-sha-256"],
            timeout=120,
            environment={**self.programs.environment(), "PATH": os.environ["PATH"]},
            user=run_as(self.user),
            directory=data,
        )  # fmt: skip


@contextmanager
def cluster15(**settings: str) -> Iterator[Postgres15]:
    """Run a cluster outside pytest's folders, which are for their owner only."""
    with TemporaryDirectory(prefix="coffer-pg15-") as name:
        Path(name).chmod(0o711)
        with Postgres15(Path(name), **settings) as server:
            yield server
