"""An isolated cluster for a drill: own folder, own socket, nothing listening, nothing of production reachable."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from coffer.errors import IntegrityError, UsageError
from coffer.processes import run
from coffer.recovery.replaying import isolated_settings, replay
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.programs import Programs, database_user, reachable_by_others, run_as
from coffer.sources.postgres.server import PostgresServer

_PORT = 5432


class Scratch:
    """A folder with a cluster in it; a context manager that leaves nothing behind.

    Args:
        parent: Folder to work in; every account must be able to walk into it. Default: the system's temporary one.
        installation: PostgreSQL's programs, of the cluster's version. Default: the wheel's.

    Attributes:
        folder: The scratch folder.
        data: Where the cluster goes.
        uploads: Where files go.
        user: Account that runs the cluster.
        server: The cluster.
    """

    def __init__(self, parent: Path | None = None, installation: Programs | None = None) -> None:
        self._parent = parent
        self._installation = installation
        self.user = database_user()

    def __enter__(self) -> Scratch:
        self.folder = Path(tempfile.mkdtemp(prefix="coffer-drill-", dir=self._parent))
        self.folder.chmod(0o711)
        if os.geteuid() == 0 and not reachable_by_others(self.folder):
            self.folder.rmdir()
            raise UsageError(
                f"{self.folder.parent} is closed to PostgreSQL's account", resolution="Name another folder"
            )
        self.data, self.uploads = self.folder / "data", self.folder / "uploads"
        self.sockets = self.folder / "s"
        overrides = isolated_settings(self._installation)
        rules = {"hba_file": str(self.data / "pg_hba.conf"), "ident_file": str(self.data / "pg_ident.conf")}
        self.server = PostgresServer(
            self.data,
            port=_PORT,
            socket_dir=self.sockets,
            user=self.user,
            overrides={**overrides, **rules},
            installation=self._installation,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.server.stop(immediate=True)
        finally:
            shutil.rmtree(self.folder)

    @property
    def port(self) -> int:
        """Port in the socket's name."""
        return self.server.port

    def replay(self, wal: WalServer, *, timeout: float) -> None:
        """Start, replay to the target and promote.

        Raises:
            IntegrityError: WAL could not be brought; what is wrong with it is said.
            NotThere: The log ends before the target.
            StepFailed: PostgreSQL ended or took too long; the end of its log is in the detail.
        """
        self.server.configure_access()
        replay(self.server, wal, timeout=timeout)

    def give_password(self, role: str) -> str:
        """Give a role of the restored cluster a password of this drill alone and return it."""
        password = secrets.token_urlsafe(24)
        with self.server.connect() as connection:
            connection.execute("SET log_statement = 'none'; SET log_min_error_statement = 'panic'")
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            )
        return password

    def amcheck(self, *, timeout: float) -> str:
        """Check tables and indexes of every database with pg_amcheck; return what was checked.

        Raises:
            IntegrityError: Something is damaged; the first findings are in the detail.
        """
        argv: list[str | Path] = [
                self.server.programs.path("pg_amcheck"), "--all", "--install-missing", "--heapallindexed",
                "--parent-check", "--jobs=2", "--host", self.sockets, "--port", str(self.port),
                "--username", self.server.superuser]  # fmt: skip
        done = run(
            argv, timeout=timeout, accept=range(256), environment=self.server.environment(), user=run_as(self.user),
            directory=self.folder,
        )  # fmt: skip
        if done.exit_code:
            text = " ".join((done.stdout + done.stderr).split())
            raise IntegrityError("pg_amcheck found damage", detail=text[:1_000])
        return "tables and indexes of every database, each index against its table"

    def count_rows(self, database: str) -> dict[str, int]:
        """Read every row of every table of a database and return how many each has.

        Raises:
            IntegrityError: A page cannot be read.
        """
        try:
            with self.server.connect(database) as connection:
                # A sequential scan reads every page; an index would hide a damaged one.
                for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                    connection.execute(sql.SQL("SET {} = off").format(sql.Identifier(f"enable_{way}")))
                names = connection.execute(
                    "SELECT schemaname, tablename FROM pg_tables"
                    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
                ).fetchall()
                counts = {}
                for schema, table in names:
                    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
                    row = connection.execute(query).fetchone()
                    counts[table if schema == "public" else f"{schema}.{table}"] = int(row[0]) if row else 0
                return counts
        except psycopg.errors.DataCorrupted as error:
            raise IntegrityError("a page of the restored database is damaged", detail=str(error).strip()) from error
