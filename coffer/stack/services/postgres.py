"""PostgreSQL 18 of one environment, with the roles that the service, its migrations and its recovery points use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from coffer.sources.postgres.programs import own, run_as
from coffer.sources.postgres.server import PostgresServer
from coffer.stack.service import Service

DATABASE = "creditai"
SERVICE_ROLE, ADMIN_ROLE, BACKUP_ROLE, PREFECT_ROLE = "creditai", "coffer_admin", "coffer_backup", "prefect"


@dataclass(frozen=True)
class Cluster:
    """One cluster: where it is and who may enter.

    Attributes:
        name: Service name.
        data: Data folder.
        port: Port on 127.0.0.1, and part of the socket's name.
        sockets: Folder of its UNIX socket, which containers mount.
        passwords: Of the roles, by role; `PREFECT_ROLE` only where Prefect keeps its database.
    """

    name: str
    data: Path
    port: int
    sockets: Path
    passwords: Mapping[str, str] = field(repr=False)

    def server(self) -> PostgresServer:
        """Return the means to make and run it."""
        return PostgresServer(self.data, port=self.port, socket_dir=self.sockets, listen="127.0.0.1")

    def conninfo(self, role: str, database: str = DATABASE) -> str:
        """Return a connection string over the UNIX socket."""
        password = self.passwords[role]
        return make_conninfo(host=str(self.sockets), port=self.port, user=role, password=password, dbname=database)

    def url_in_container(self) -> str:
        """Return the service's own address, as a container sees it that mounts the sockets at /run/postgres."""
        password = self.passwords[SERVICE_ROLE]
        return f"postgresql://{SERVICE_ROLE}:{password}@/{DATABASE}?host=/run/postgres&port={self.port}"


def postgres(cluster: Cluster) -> Service:
    """Return the service of one cluster; its roles and database are made once it is ready."""
    server = cluster.server()

    def prepare() -> None:
        server.initialise()
        own(cluster.sockets, server.user)
        cluster.sockets.chmod(0o755)

    return Service(
        name=cluster.name,
        argv=tuple(server.argv()),
        ready=lambda: None if server.ready() else f"{cluster.sockets} takes no connections",
        address=f"127.0.0.1:{cluster.port}",
        ports=(cluster.port,),
        environment=server.environment(),
        directory=cluster.data,
        user=run_as(server.user),
        prepare=prepare,
        finish=lambda: ensure_roles(cluster),
        stop_signal="INT",
        stop_seconds=30,
    )


def ensure_roles(cluster: Cluster) -> None:
    """Make roles and database, or bring them back to what they should be.

    The service may change rows and nothing else; migrations own the tables; recovery points read by replication.
    """
    server = cluster.server()
    for role, password in cluster.passwords.items():
        server.ensure_role(role, password, replication=role == BACKUP_ROLE)
    server.ensure_database(DATABASE, ADMIN_ROLE)
    with server.connect() as connection:
        # What a backup asks for besides its replication connection: settings, progress, switching WAL, restore points.
        for statement in (
            f"GRANT pg_monitor, pg_read_all_settings TO {BACKUP_ROLE}",
            # Its replication connection reads every page anyway; asking for the schema's version needs rows.
            f"GRANT pg_read_all_data TO {BACKUP_ROLE}",
            f"GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO {BACKUP_ROLE}",
            # Then the data folder, which lies on this host, is read directly.
            f"GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO {BACKUP_ROLE}",
        ):
            connection.execute(statement)
    if PREFECT_ROLE in cluster.passwords:
        server.ensure_database(PREFECT_ROLE, PREFECT_ROLE)
        with server.connect(PREFECT_ROLE) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    with server.connect(DATABASE) as connection:
        _grant(connection)


def _grant(connection: psycopg.Connection[object]) -> None:
    admin, service, backup = (sql.Identifier(name) for name in (ADMIN_ROLE, SERVICE_ROLE, BACKUP_ROLE))
    statements = (
        sql.SQL("ALTER SCHEMA public OWNER TO {}").format(admin),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(service),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(DATABASE), backup),
        # Tables that a migration makes tomorrow are the service's to use, without a second step to forget.
        sql.SQL(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}"
        ).format(admin, service),
        sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {}").format(
            admin, service
        ),
    )
    for statement in statements:
        connection.execute(statement)
