"""The clusters that are backed up: one of each version, kept in the cache, served by their own PostgreSQL."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.postgres.installing import installation
from coffer.errors import StepFailed
from coffer.processes import run
from coffer.sources.postgres.programs import own, run_as
from coffer.sources.postgres.server import PostgresServer
from tests.services.throwaway import free_ports

DATABASE = "bench"
_SEGMENT_NAME = 24
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "archive_mode": "on",
    "max_prepared_transactions": "0",
    "log_checkpoints": "off",
    "logging_collector": "off",
}
# On the command line only: a restored cluster must not inherit them.
_SOURCE = {"fsync": "off", "synchronous_commit": "off"}
_RESTORED = {"archive_mode": "off"}


class BenchServer(PostgresServer):
    """A server of either version.

    Args:
        folder: Holds `data`, the socket's folder and, for a source, `collected`: every segment it archived.
        major: Version.
        overrides: Settings on the command line.
        settings: Settings in the data folder.
    """

    def __init__(
        self,
        folder: Path,
        major: int,
        *,
        overrides: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> None:
        super().__init__(
            data or folder / "data",
            port=free_ports(1)[0],
            socket_dir=folder / "s",
            installation=installation(major),
            overrides=overrides,
            settings={**_SETTINGS, **(settings or {})},
        )
        self.major, self.folder = major, folder
        self.collected = folder / "collected"
        self.also = folder / "archive-also"
        if major < 17:
            self._settings.pop("summarize_wal")

    def _initdb(self, data: Path) -> None:
        if self.major >= 17:
            super()._initdb(data)
            return
        own(data, self.user)
        run(
            [self.programs.path("initdb"), "--pgdata", data, "--username", self.superuser, "--data-checksums",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            timeout=300, environment=self.programs.environment(), user=run_as(self.user), directory=data,
        )  # fmt: skip

    def as_account(self, *words: str | Path) -> list[str]:
        """Return a command run by the account that runs PostgreSQL."""
        argv = [str(word) for word in words]
        if run_as(self.user) is None:
            return argv
        return ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups", *argv]

    def environment(self) -> dict[str, str]:
        """Return the variables that its programs need, with the connection for libpq."""
        return {
            **super().environment(),
            "PGHOST": str(self.socket_dir),
            "PGPORT": str(self.port),
            "PGUSER": self.superuser,
            "PGDATABASE": DATABASE,
        }

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, while it runs."""
        return self._process.pid if self._process is not None else None

    def processor_seconds(self) -> float:
        """Return what it has used so far, backends that are gone included."""
        if self.pid is None:
            return 0.0
        process = psutil.Process(self.pid)
        own_times = process.cpu_times()
        used = own_times.user + own_times.system + own_times.children_user + own_times.children_system
        for child in process.children():
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                used += times.user + times.system
        return float(used)

    def segments(self) -> list[str]:
        """Return the names of the segments it archived, oldest first."""
        return sorted(each.name for each in self.collected.iterdir() if len(each.name) == _SEGMENT_NAME)

    def forget_collected(self) -> None:
        """Remove what it archived so far."""
        self.drain()
        for each in self.collected.iterdir():
            each.unlink()

    def checkpoint(self) -> None:
        """Leave nothing for a backup's own checkpoint to write."""
        with self.connect() as connection:
            connection.execute("CHECKPOINT")

    def drain(self, *, timeout: float = 120) -> None:
        """Wait until the archiver has nothing left to do.

        Raises:
            StepFailed: It does not come to an end.
        """
        deadline = time.monotonic() + timeout
        status = self.data / "pg_wal" / "archive_status"
        while any(status.glob("*.ready")):
            if time.monotonic() > deadline:
                raise StepFailed("the archiver is stuck", detail=self.log_tail())
            time.sleep(0.05)

    def switch(self) -> str:
        """Close the segment that is being written and wait until it is archived; returns its name."""
        with self.connect() as connection:
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert row
        name = str(row[0])
        deadline = time.monotonic() + 60
        while not (self.collected / name).exists():
            if time.monotonic() > deadline:
                raise StepFailed(f"segment {name} was not archived", detail=self.log_tail())
            time.sleep(0.02)
        self.drain()
        return name

    @contextmanager
    def archiving_also(self, words: list[str]) -> Iterator[None]:
        """Have the archiver call another tool's command, too, with the segment's path at its end."""
        self.also.write_text(shlex.join(words) + '  "$1"\n')
        self.also.chmod(0o644)
        try:
            yield
        finally:
            self.drain()
            self.also.unlink()


def source_server(folder: Path, major: int) -> BenchServer:
    """Return the server of a cluster to be backed up, with a script as its archive_command."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    # pgBackRest refuses to back up where the archive_command does not hold its name.
    script = folder / "pgbackrest-too.sh"
    collected, also = folder / "collected", folder / "archive-also"
    collected.mkdir(exist_ok=True)
    script.write_text(
        "#!/bin/sh\n# $1 the segment, $2 its name: kept for the bench, and given to the tool under test.\nset -e\n"
        f"there={shlex.quote(str(collected))}\n"
        'test -e "$there/$2" || { cp "$1" "$there/.$2" && mv "$there/.$2" "$there/$2"; }\n'
        f"if test -e {shlex.quote(str(also))}; then . {shlex.quote(str(also))}; fi\n"
    )
    script.chmod(0o755)
    server = BenchServer(
        folder,
        major,
        overrides={**_SOURCE, "archive_command": f"sh {shlex.quote(str(script))} '{folder / 'data'}/%p' %f"},
    )
    own(collected, server.user)
    return server


def restored_server(data: Path, like: BenchServer, overrides: Mapping[str, str]) -> BenchServer:
    """Return a server for a restored data folder."""
    folder = data.parent / f"{data.name}.server"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return BenchServer(folder, like.major, overrides={**_RESTORED, **overrides}, data=data)


def reachable_folder(folder: Path, fallback: Path) -> Path:
    """Return the folder if PostgreSQL's account can walk to it, else the other one."""
    place = folder
    while not place.exists():
        place = place.parent
    if os.geteuid() != 0 or all(each.stat().st_mode & 0o001 for each in (place, *place.parents)):
        return folder
    return fallback
