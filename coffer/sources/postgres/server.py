"""A PostgreSQL server of ours: the local stack's, a test's, a drill's."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from coffer.errors import OutsideSystemError, StepFailed, Unreachable, UnsafeTarget
from coffer.processes import run
from coffer.sources.postgres.programs import Programs, database_user, own, programs, run_as

SETTINGS: Mapping[str, str] = {
    "wal_level": "replica",
    "summarize_wal": "on",  # changed blocks for incremental backups
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "wal_keep_size": "64MB",
    "max_slot_wal_keep_size": "4GB",  # a receiver that stays away must not fill the disk of production
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_CONFIG = "coffer.conf"


class PostgresServer:
    """One data folder and the server that runs on it.

    The superuser is let in over the UNIX socket by the operating system's word (`peer`) for the server's account
    and for the account that calls this, so no superuser password exists. Everybody else needs SCRAM.

    Args:
        data: The data folder.
        port: TCP port, and part of the socket's name.
        socket_dir: Folder for the UNIX socket; the whole path must stay under 107 bytes.
        user: Account to run as. Default: `database_user()`.
        listen: Addresses to listen on; empty means the UNIX socket only.
        settings: Added to `SETTINGS`, written into the data folder by `initialise`.
        overrides: Given on the command line, so that they beat whatever a restored data folder brings along.
        installation: PostgreSQL's programs. Default: the wheel's.
        superuser: Name of the cluster's superuser.

    Attributes:
        wrapper: Words before the command line of a child; with some, they change the account.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int,
        socket_dir: Path,
        user: str | None = None,
        listen: str = "",
        settings: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        installation: Programs | None = None,
        superuser: str = "postgres",
    ) -> None:
        self.data, self.port, self.socket_dir = data, port, socket_dir
        self.user = user or database_user()
        self.programs = installation or programs()
        self.superuser = superuser
        self._listen = listen
        self._settings = {**SETTINGS, **(settings or {})}
        self._overrides = dict(overrides or {})
        self.wrapper: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = data.parent / f"{data.name}.log"

    # -- making one ---------------------------------------------------------------------------------------------

    def initialise(self) -> None:
        """Make an empty cluster (checksums, UTF-8, builtin C.UTF-8) and configure it; nothing if it is there.

        Raises:
            UnsafeTarget: The folder holds something that is no cluster.
            OutsideSystemError: initdb failed.
        """
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise UnsafeTarget("the data folder is not empty", detail=str(self.data))
        # Made beside and renamed when complete: a start that was interrupted must not look like a cluster.
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{self.data.name}-", dir=self.data.parent) as scratch:
            Path(scratch).chmod(0o711)
            new = Path(scratch) / "data"
            new.mkdir(mode=0o700)
            self._initdb(new)
            self._write_configuration(new)
            new.rename(self.data)

    def _initdb(self, data: Path) -> None:
        own(data, self.user)
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        run(
            [self.programs.path("initdb"), "--pgdata", data, "--username", self.superuser, "--data-checksums",
             "--encoding=UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8",
             "--auth-local=peer", "--auth-host=scram-sha-256", *sync],
            timeout=300, environment=self.programs.environment(), user=run_as(self.user), directory=data,
        )  # fmt: skip

    def _write_configuration(self, data: Path) -> None:
        with (data / "postgresql.conf").open("a") as config:
            config.write(f"\ninclude_if_exists = '{_CONFIG}'\n")
        lines = "".join(f"{name} = {_quoted(value)}\n" for name, value in sorted(self._settings.items()))
        (data / _CONFIG).write_text(lines)
        self._write_access(data)

    def configure_access(self, folder: Path | None = None) -> None:
        """Write `pg_hba.conf` and `pg_ident.conf`: the superuser by `peer`, the rest by SCRAM.

        Args:
            folder: Where; default: the data folder. Elsewhere it needs `hba_file` and `ident_file` among the overrides.
        """
        self._write_access(folder or self.data)

    def _write_access(self, data: Path) -> None:
        (data / "pg_ident.conf").write_text(
            "".join(f"coffer {name} {self.superuser}\n" for name in sorted({self.user, getpass.getuser()}))
        )
        (data / "pg_hba.conf").write_text(
            f"local all,replication {self.superuser} peer map=coffer\n"
            "local all,replication all scram-sha-256\n"
            "host all,replication all 127.0.0.1/32 scram-sha-256\n"
            "host all,replication all ::1/128 scram-sha-256\n"
        )
        own(data, self.user)

    # -- running it ---------------------------------------------------------------------------------------------

    def argv(self) -> list[str]:
        """Return the server's command line, in the foreground, for a supervisor."""
        values = {"port": str(self.port), "unix_socket_directories": str(self.socket_dir),
                  "listen_addresses": self._listen, **self._overrides}  # fmt: skip
        words = [str(self.programs.path("postgres")), "-D", str(self.data)]
        for name, value in values.items():
            words += ["-c", f"{name}={value}"]
        return words

    def environment(self) -> dict[str, str]:
        """Return the variables that `argv()` needs."""
        return self.programs.environment()

    def start(self, *, timeout: float = 60) -> None:
        """Start it as a child and wait until it takes connections.

        Raises:
            StepFailed: It ended, or was not ready in time; the end of its log is in the detail.
        """
        self.launch()
        self.wait_ready(timeout=timeout)

    def launch(self) -> None:
        """Start it as a child without waiting."""
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        own(self.socket_dir, self.user)
        account = None if self.wrapper else run_as(self.user)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.wrapper, *self.argv()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env={**os.environ, **self.environment()},
                user=account,
                group=account,
                extra_groups=[] if account else None,
                start_new_session=True,
            )

    def wait_ready(self, *, timeout: float) -> None:
        """Wait until it takes connections.

        Raises:
            StepFailed: It ended, or was not ready in time.
        """
        deadline = time.monotonic() + timeout
        while not self.ready():
            if self._process is not None and self._process.poll() is not None:
                raise StepFailed("PostgreSQL ended at its start", detail=self.log_tail())
            if time.monotonic() > deadline:
                raise StepFailed(f"PostgreSQL was not ready within {timeout:g} s", detail=self.log_tail())
            time.sleep(0.05)

    def ready(self) -> bool:
        """Tell whether it answers a query."""
        try:
            with self.connect(connect_timeout=3) as connection:
                connection.execute("SELECT 1")
        except (psycopg.OperationalError, Unreachable):
            return False
        return True

    def running(self) -> bool:
        """Tell whether the child that `launch` started still lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, immediate: bool = False, timeout: float = 60) -> None:
        """Stop the child: fast shutdown, or at once (as a crash would).

        Raises:
            OutsideSystemError: It did not end in time; it was killed.
        """
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise OutsideSystemError(
                    f"PostgreSQL did not stop within {timeout:g} s", detail=self.log_tail()
                ) from None

    def log_tail(self, size: int = 2_000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-size:].strip() if self.log.exists() else ""

    def __enter__(self) -> PostgresServer:
        self.initialise()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- talking to it ------------------------------------------------------------------------------------------

    def conninfo(self, dbname: str = "postgres", **options: Any) -> str:  # noqa: ANN401 - libpq's own options
        """Return a connection string over the UNIX socket, as superuser unless `user` is given."""
        return make_conninfo(
            **{"host": str(self.socket_dir), "port": self.port, "user": self.superuser, "dbname": dbname, **options}
        )

    def connect(self, dbname: str = "postgres", **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401
        """Connect as superuser (or as `user`), in autocommit.

        Raises:
            psycopg.OperationalError: It is not there or says no.
        """
        return psycopg.connect(self.conninfo(dbname, **options), autocommit=True)

    def ensure_role(self, name: str, password: str, *, replication: bool = False, superuser: bool = False) -> None:
        """Make a login role, or set its password and rights when it exists."""
        rights = sql.SQL("LOGIN {} {} PASSWORD {}").format(
            sql.SQL("REPLICATION" if replication else "NOREPLICATION"),
            sql.SQL("SUPERUSER" if superuser else "NOSUPERUSER"),
            sql.Literal(password),
        )
        with self.connect() as connection:
            # Statement logging would put the password into the log.
            connection.execute("SET log_statement = 'none'; SET log_min_error_statement = 'panic'")
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = sql.SQL("ALTER ROLE {} {}" if exists else "CREATE ROLE {} {}")
            connection.execute(verb.format(sql.Identifier(name), rights))

    def ensure_database(self, name: str, owner: str) -> None:
        """Make a database unless it exists."""
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
                )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
