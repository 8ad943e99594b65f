"""The local stack as a list of services: who listens where, who waits for whom, who knows which secret."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from coffer.stack import files
from coffer.stack.certificates import EdgeCertificate
from coffer.stack.layout import ENVIRONMENTS, Layout
from coffer.stack.ports import OFFSET_VARIABLE, Ports
from coffer.stack.secrets import Secrets
from coffer.stack.service import Service
from coffer.stack.services import edge, prefect
from coffer.stack.services.buckets import ensure_bucket
from coffer.stack.services.docker_engine import dockerd
from coffer.stack.services.files import WatchSettings, files_watcher
from coffer.stack.services.mail import mail
from coffer.stack.services.postgres import ADMIN_ROLE, BACKUP_ROLE, PREFECT_ROLE, SERVICE_ROLE, Cluster, postgres
from coffer.stack.services.receiver import receiver
from coffer.stack.services.redis import redis
from coffer.stack.services.registry import Notification, registry
from coffer.stack.services.s3_policies import ROLES
from coffer.stack.services.seaweedfs import S3Identity, seaweedfs
from coffer.stack.services.wal import WalSettings, wal_receiver
from coffer.stack.vault import VaultFiles

SERVICE = "creditai"
REGIONS = ("a", "b")
POOL, ESCROW_POOL = "coffer", "coffer-escrow"
# Jobs that are no services; see up.py.
VAULT_JOB, POOLS_JOB, NETWORKS_JOB = "vault", "work-pools", "networks"
# Builds, scans and loads on a small machine: more at the same time would only be slower, and blur measurements.
_POOL_LIMIT, _ESCROW_LIMIT = 4, 2


def remembered_database(layout: Layout, choice: str | None = None) -> str:
    """Return where Prefect keeps its own data: this choice, else the last one, else SQLite."""
    remembered = layout.run / "database"
    if choice:
        files.write(remembered, choice)
    return remembered.read_text() if remembered.exists() else "sqlite"


@dataclass(frozen=True)
class House:
    """Everything that the stack consists of.

    Attributes:
        layout: Where its files are.
        ports: Where its services listen.
        database: `sqlite` or `postgres`: where Prefect keeps its own data.
        own_engine: Whether Docker Engine is one of the services.
    """

    layout: Layout
    ports: Ports
    database: str = "sqlite"
    own_engine: bool = False

    @cached_property
    def secrets(self) -> Secrets:
        """Secrets of the stack."""
        return Secrets(self.layout.secrets)

    @cached_property
    def vault(self) -> VaultFiles:
        """Keys of the vault."""
        return VaultFiles.of(self.layout)

    @property
    def aws_credentials(self) -> Path:
        """The AWS credentials file with a writer and a reader a region: nobody in it may remove anything."""
        return self.layout.secrets / "aws-credentials"

    @property
    def aws_pruner_credentials(self) -> Path:
        """The AWS credentials file with a pruner and an admin a region."""
        return self.layout.secrets / "aws-pruner-credentials"

    @property
    def registry_address(self) -> str:
        """What stands before the first slash of an image's name."""
        return f"127.0.0.1:{self.ports.registry}"

    @property
    def maildir(self) -> Path:
        """Where caught mails are."""
        return self.layout.state / "mail" / "maildir"

    def bucket(self, region: str) -> str:
        """Return a region's bucket."""
        return f"coffer-{region}"

    def endpoint(self, region: str) -> str:
        """Return a region's address."""
        return f"http://127.0.0.1:{self.ports.s3[region].s3}"

    @property
    def stores(self) -> tuple[str, ...]:
        """The vault's stores, as its writer addresses them."""
        return tuple(
            f"s3://{self.bucket(name)}/{SERVICE}?endpoint={self.endpoint(name)}&region=eu-{name}&profile=writer-{name}"
            for name in REGIONS
        )

    def identity(self, role: str, region: str) -> S3Identity:
        """Return `reader`, `writer`, `pruner` or `admin` of a region."""
        name = f"{role}-{region}"
        access, secret = (self.secrets.get(f"s3-{name}-{half}") for half in ("access", "secret"))
        if role == "admin":
            return S3Identity(name, access[:20], secret, admin=True)
        return S3Identity(name, access[:20], secret, role=role)

    def cluster(self, environment: str) -> Cluster:
        """Return an environment's PostgreSQL; production's also keeps Prefect's database when asked to."""
        roles = [SERVICE_ROLE, ADMIN_ROLE, BACKUP_ROLE]
        if self._prefect_cluster == environment:
            roles.append(PREFECT_ROLE)
        return Cluster(
            name=f"postgres-{environment}",
            data=self.layout.environment(environment) / "postgres",
            port=self.ports.postgres[environment],
            sockets=self.layout.sockets(environment, "postgres"),
            passwords={role: self.secrets.get(f"postgres-{environment}-{role}") for role in roles},
        )

    @cached_property
    def prefect(self) -> prefect.Prefect:
        """Prefect's place and address."""
        home = self.layout.state / "prefect"
        if not self._prefect_cluster:
            return prefect.Prefect(home, self.ports.prefect)
        cluster = self.cluster(self._prefect_cluster)
        place = f"127.0.0.1:{cluster.port}/{PREFECT_ROLE}"
        url = f"postgresql+asyncpg://{PREFECT_ROLE}:{cluster.passwords[PREFECT_ROLE]}@{place}"
        return prefect.Prefect(home, self.ports.prefect, url, cluster.name)

    @property
    def prefect_database(self) -> str:
        """Where Prefect's own data is, as recovery points read it: a file, or a connection of its role."""
        if self._prefect_cluster:
            return self.cluster(self._prefect_cluster).conninfo(PREFECT_ROLE, PREFECT_ROLE)
        return str(self.prefect.directory / "prefect.db")

    def services(self, certificate: EdgeCertificate) -> tuple[Service, ...]:
        """Return every service.

        Args:
            certificate: What NGINX shows.
        """
        engine = (dockerd(self.layout.run),) if self.own_engine else ()
        regions = tuple(self._region(name) for name in REGIONS)
        environments = tuple(
            service for name in ENVIRONMENTS for service in self._environment_services(name, certificate)
        )
        return (*engine, *regions, *environments, self._wal(), self._files(), *self._delivery(), *self._workers())

    @property
    def _prefect_cluster(self) -> str:
        return "production" if self.database == "postgres" else ""

    def _region(self, name: str) -> Service:
        admin = self.identity("admin", name)
        people = (admin, *(self.identity(role, name) for role in ROLES))
        service = seaweedfs(f"s3-{name}", self.layout.state / f"s3-{name}", self.ports.s3[name], people)
        bucket = self.bucket(name)
        return replace(service, finish=lambda: ensure_bucket(self.endpoint(name), f"eu-{name}", admin, bucket))

    def _environment_services(self, name: str, certificate: EdgeCertificate) -> tuple[Service, ...]:
        directory = self.layout.environment(name)
        proxies = edge.settings(
            directory,
            certificate,
            https_port=self.ports.edge_https[name],
            http_port=self.ports.edge_http[name],
            service=SERVICE,
        )
        return (
            postgres(self.cluster(name)),
            redis(f"redis-{name}", directory / "redis", self.layout.sockets(name, "redis")),
            edge.haproxy(f"haproxy-{name}", proxies),
            edge.nginx(f"nginx-{name}", proxies, after=f"haproxy-{name}"),
        )

    def _wal(self) -> Service:
        cluster = self.cluster("production")
        conninfo = cluster.conninfo(BACKUP_ROLE)
        settings = WalSettings(self.stores, self.aws_credentials, self.vault.writer, conninfo)
        config = self.layout.environment("production") / "wal.toml"
        return wal_receiver("wal-production", config, settings, cluster, after=(VAULT_JOB,))

    def _files(self) -> Service:
        directory = self.layout.environment("production")
        settings = WatchSettings(
            self.stores,
            self.aws_credentials,
            self.vault.writer,
            directory / "uploads",
            SERVICE,
            directory / "files-watch.json",
        )
        return files_watcher("files-production", directory / "files.toml", settings, after=(VAULT_JOB,))

    def _delivery(self) -> tuple[Service, ...]:
        secret = self.secrets.path("receiver")
        address = f"http://127.0.0.1:{self.ports.receiver}/registry"
        return (
            prefect.server(self.prefect),
            registry(
                "registry",
                self.layout.state / "registry",
                self.ports.registry,
                notification=Notification(address, self.secrets.get("receiver")),
            ),
            receiver("receiver", self.ports.receiver, secret, self.registry_address, self.prefect.client_environment()),
            mail("mail", self.maildir, self.ports.smtp),
        )

    def _workers(self) -> tuple[Service, ...]:
        shared = {
            "COFFER_STATE": str(self.layout.state),
            OFFSET_VARIABLE: str(self.ports.offset),
            "COFFER_HOME": str(self.layout.home),
            "COFFER_REPORTS": str(self.layout.reports),
        }
        # Paths that this worker alone is told: what runs in the other pool opens nothing and removes nothing.
        escrow = {**shared, "COFFER_IDENTITY": str(self.vault.identity), "COFFER_PRUNER": str(self.vault.pruner)}
        # Not the escrow worker's: a drill restores a whole database, and its time is to be that of a disk.
        releases = {**shared, "TMPDIR": str(self.layout.scratch)}
        after = (POOLS_JOB, NETWORKS_JOB)
        return (
            prefect.worker(self.prefect, POOL, limit=_POOL_LIMIT, environment=releases, after=after),
            prefect.worker(self.prefect, ESCROW_POOL, limit=_ESCROW_LIMIT, environment=escrow, after=after),
        )
