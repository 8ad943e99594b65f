"""What an environment file may say. Unknown keys are refused, with their place."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from coffer.environments.durations import Duration
from coffer.environments.references import Reference
from coffer.environments.sizes import Size
from coffer.errors import UsageError


def _reference(text: str) -> str:
    try:
        Reference.parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


ReferenceText = Annotated[str, AfterValidator(_reference)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
Severity = Literal["critical", "high", "medium", "low", "info", "unknown"]


class Section(BaseModel):
    """A table of the file; keys are written with dashes or underscores."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Service(Section):
    """What runs."""

    name: Identifier
    image: Annotated[str, Field(description="Repository, without tag or digest.", pattern=r"^[^@]+$")]
    port: Annotated[int, Field(ge=1, le=65535)]
    health: str = "/health"
    live: str = ""
    version: str = "/version"
    smoke: tuple[str, ...] = ()
    migrations: Annotated[str, Field(description="Folder of expand migrations inside the image.")] = ""
    consistency: Annotated[
        tuple[str, ...], Field(description="Command in the image that asks the service's own questions.")
    ] = ()
    user: int = 1001
    memory: str = "1g"
    cpus: float = 0.5
    start_within: Duration = timedelta(seconds=30)
    stop_within: Duration = timedelta(seconds=10)
    drain_signal: str = ""
    reopen_signal: str = ""
    settings: dict[str, str] = {}
    secrets: dict[str, ReferenceText] = {}
    mounts: Annotated[
        dict[str, str], Field(description="Path in the container: folder of the host's directory[:ro].")
    ] = {}


class TargetSection(Section):
    """Where it runs."""

    kind: Literal["docker-host"]
    hosts: Annotated[tuple[ReferenceText, ...], Field(min_length=1)]
    strategy: Literal["blue-green"] = "blue-green"
    drain: Duration = timedelta(seconds=30)
    soak: Duration = timedelta(seconds=30)
    tolerated_errors: Annotated[float, Field(ge=0, le=1, description="Share of 5xx that the soak accepts.")] = 0.001


class Release(Section):
    """What comes first, and what a push starts."""

    after: str = ""
    on_push: tuple[str, ...] = ()
    registry: ReferenceText = "block:registry/local"
    database: Annotated[str, Field(description="Reference to the connection that runs migrations.")] = ""


class Tests(Section):
    """Which tests a release needs."""

    required: tuple[Literal["unit", "integration", "start-and-stop", "load"], ...] = (
        "integration",
        "start-and-stop",
        "load",
    )
    p95: Duration = timedelta(milliseconds=200)
    requests_per_minute: int = 1000
    error_share: float = 0.001
    load: Duration = timedelta(seconds=8)
    profile: Annotated[str, Field(description="Load profile, relative to this file.")] = ""


class Gate(Section):
    """What refuses a release."""

    refuse: tuple[Severity, ...] = ("critical", "high")
    unknown: Literal["refuse", "accept"] = "refuse"
    data_older_than: Duration = timedelta(days=3)
    covers: Annotated[tuple[str, ...], Field(description="What at least one scanner must have looked for.")] = (
        "secrets",
        "os-vulnerabilities",
    )
    exceptions: Annotated[str, Field(description="File of dated exceptions, relative to this file.")] = ""


class ApprovalSection(Section):
    """Whose word is needed."""

    needed: Annotated[int, Field(ge=0, le=9)] = 1
    roles: tuple[str, ...] = ("release",)
    valid_for: Duration = timedelta(hours=4)
    requester_may_approve: bool = False
    keys: Annotated[
        dict[str, str], Field(description="Approver: public Ed25519 key (base64 or ssh-ed25519), or file:PATH of one.")
    ] = {}


class Keep(Section):
    """What to keep beyond what the vault's root has signed; the keys of a retention policy (docs/recovery.md)."""

    keep_last: Annotated[int, Field(ge=1)] = 1
    keep_days: Annotated[int, Field(ge=0)] = 0
    keep_daily: Annotated[int, Field(ge=0)] = 0
    keep_weekly: Annotated[int, Field(ge=0)] = 0
    keep_monthly: Annotated[int, Field(ge=0)] = 0
    keep_yearly: Annotated[int, Field(ge=0)] = 0
    keep_verified: Annotated[int, Field(ge=0)] = 1
    require_proof: Literal["none", "read-back", "drill"] = "read-back"
    grace_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24.0


class ReadBack(Section):
    """How soon everything is read back again."""

    within: Duration = timedelta(days=7)
    budget: Annotated[Size | None, Field(description="Bytes a run reads at most, one store counted.")] = None


class Watch(Section):
    """Who notices without Prefect that something did not happen, and when a promise counts as in danger."""

    ping: Annotated[
        ReferenceText | None,
        Field(description="Reference to an address that each good point asks: a dead man's switch."),
    ] = None
    metrics: Annotated[str, Field(description="File for Prometheus' textfile collector ($NAME is a variable).")] = ""
    tell: Annotated[
        ReferenceText | None, Field(description="Reference to the Apprise addresses that are told of trouble.")
    ] = None
    drill_within: Annotated[Duration, Field(description="How old the last good drill may be.")] = timedelta(days=8)
    margin: Annotated[
        float, Field(gt=0, le=1, description="Share of the recovery time from which on it is in danger.")
    ] = 0.8


class Place(Section):
    """Where `coffer recover` puts what it brings back; folders are below the host's directory unless absolute."""

    postgres: Annotated[str, Field(description="PostgreSQL's data folder.")] = "postgres"
    postgres_sockets: Annotated[str, Field(description="Folder of its UNIX socket.")] = "sockets/postgres"
    postgres_user: Annotated[str, Field(description="Account that runs it; empty: the usual one.")] = ""
    postgres_programs: Annotated[str, Field(description="Folder with its bin/; empty: the wheel's.")] = ""
    uploads: Annotated[str, Field(description="Folder of the files.")] = "uploads"
    redis: Annotated[str, Field(description="Redis's `dir`.")] = "redis"
    redis_sockets: Annotated[str, Field(description="Folder of its UNIX socket.")] = "sockets/redis"
    keeper: Annotated[
        str,
        Field(
            description="Who starts and stops the programs: supervisor:SOCKET, systemd, or own.",
            pattern=r"^(own|systemd|supervisor:.+)$",
        ),
    ] = "own"
    units: Annotated[
        dict[Literal["postgres", "redis", "wal", "files"], str], Field(description="Their names with the keeper.")
    ] = {}


class DnsRecord(Section):
    """The record in Route 53 that leads people to the recovered place."""

    zone: Annotated[str, Field(description="Id of the hosted zone.")]
    name: str
    type: Literal["A", "AAAA", "CNAME"] = "A"
    policy: Literal["simple", "weighted", "failover"] = "simple"
    identifier: Annotated[str, Field(description="SetIdentifier of the recovered place; not for simple.")] = ""
    value: Annotated[str, Field(description="Address of the recovered place.")]
    ttl: Annotated[int, Field(ge=0, le=86400, description="Seconds.")] = 60
    endpoint: Annotated[str, Field(description="Address of the API; empty: Amazon's.")] = ""
    profile: Annotated[str, Field(description="Profile of the credentials file; empty: the usual one.")] = ""
    within: Duration = timedelta(minutes=5)


SOURCE_KINDS = (
    "postgres", "postgres-dump", "rds", "files", "redis", "kubernetes", "manifests", "environment", "prefect",
    "references",
)  # fmt: skip
"""What can be protected; coffer/recovery/source_table.py opens them."""


class Recovery(Section):
    """What is protected, where to, and what is promised."""

    vault: ReferenceText
    sources: Annotated[tuple[str, ...], Field(min_length=1, description="[NAME=]KIND:REFERENCE or KIND:ADDRESS.")]
    rto: Duration = timedelta(minutes=15)
    rpo: Duration = timedelta(hours=4)
    cluster: str = ""
    keep: Keep | None = None
    read_back: ReadBack = ReadBack()
    place: Place = Place()
    dns: DnsRecord | None = None
    watch: Watch = Watch()

    @field_validator("sources")
    @classmethod
    def _known_kinds(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            if source.partition(":")[0].rpartition("=")[2] not in SOURCE_KINDS:
                raise ValueError(f"'{source}': sources are {', '.join(f'{kind}:…' for kind in SOURCE_KINDS)}")
        return sources


class Schedule(Section):
    """When recovery points, drills, read-backs and prunes happen (cron, UTC)."""

    incremental: str = ""
    nightly: str = ""
    full: str = ""
    drill: str = ""
    verify: str = ""
    prune: str = ""
    watch: str = ""


class Environment(Section):
    """One environment of one service."""

    name: Annotated[str, Field(description="The file's name without its ending.")]
    path: str
    service: Service
    target: TargetSection
    release: Release = Release()
    tests: Tests = Tests()
    gate: Gate = Gate()
    approval: ApprovalSection = ApprovalSection()
    recovery: Recovery | None = None
    schedule: Schedule = Schedule()
