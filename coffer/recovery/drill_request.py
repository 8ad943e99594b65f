"""From an environment file to a drill."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from coffer.environments import Environment
from coffer.environments.references import resolve_mapping, resolve_text
from coffer.errors import CofferError, UsageError
from coffer.recovery.access import VaultAddress, recovery_of
from coffer.recovery.drill import DrillRequest
from coffer.recovery.questions import Questions
from coffer.recovery.sabotage import Sabotage
from coffer.recovery.target import RestoreTarget

_DATABASE_VARIABLE = "DATABASE_URL"
_SOCKETS, _UPLOADS = "sockets/postgres", "uploads"


def drill_request(
    environment: Environment,
    *,
    identity: Path,
    image: str = "",
    target: RestoreTarget | None = None,
    seed: int = 0,
    sabotage: Sabotage | None = None,
    directory: Path | None = None,
    root: str | None = None,
) -> DrillRequest:
    """Put together what a drill of an environment needs.

    Args:
        environment: Whose recovery.
        identity: Identity file from escrow.
        image: Image by digest that asks the questions; empty: the one that the point says ran.
        target: The moment; None draws one.
        seed: Seed of the draw.
        sabotage: What to damage.
        directory: Where to make the scratch folder.
        root: Fingerprint of the vault's root key, from the recovery kit.

    Raises:
        UsageError: The environment has no [recovery], or the image is not named by digest.
    """
    recovery = recovery_of(environment)
    database = _database(environment)
    return DrillRequest(
        environment=environment.name,
        service=environment.service.name,
        stores=VaultAddress.of(environment).open_stores(),
        identity=identity,
        database=database["dbname"],
        target=target,
        seed=seed,
        questions=_questions(environment, image, database),
        sabotage=sabotage,
        directory=directory,
        rto=recovery.rto,
        rpo=recovery.rpo,
        root=root,
        hidden=_production_sockets(environment),
    )


def _production_sockets(environment: Environment) -> tuple[Path, ...]:
    """Return the folders with production's sockets, as far as this host is told of them."""
    found: list[Path] = []
    for reference in environment.target.hosts:
        with suppress(CofferError):
            if directory := resolve_mapping(reference).get("directory"):
                found.append(Path(str(directory)) / "sockets")
    for text in recovery_of(environment).sources:
        kind, _, place = text.partition(":")
        if kind == "postgres" and place.partition(":")[0] in ("env", "file", "block"):
            with suppress(CofferError, psycopg.Error):
                found += _folders(resolve_text(place))
    return tuple(found)


def _folders(conninfo: str) -> list[Path]:
    hosts = str(conninfo_to_dict(conninfo).get("host") or "").split(",")
    return [Path(host) for host in hosts if host.startswith("/")]


def _database(environment: Environment) -> Mapping[str, str]:
    """Return user and database of the service's own connection."""
    reference = environment.service.secrets.get(_DATABASE_VARIABLE)
    if reference is None:
        raise UsageError(f"{environment.name} gives its service no {_DATABASE_VARIABLE}")
    options = {key: str(value) for key, value in conninfo_to_dict(resolve_text(reference)).items()}
    if "dbname" not in options or "user" not in options:
        raise UsageError(f"the {_DATABASE_VARIABLE} of {environment.name} names no user or database")
    return options


def _questions(environment: Environment, image: str, database: Mapping[str, str]) -> Questions | None:
    service = environment.service
    if image and "sha256:" not in image:
        raise UsageError(f"'{image}' names no digest", resolution="A tag may be another image tomorrow")
    if not service.consistency:
        if image:
            raise UsageError(f"{environment.name} has no [service] consistency", resolution="Name the command")
        return None
    return Questions(
        image=image,
        command=service.consistency,
        database=database["dbname"],
        role=database["user"],
        variables=service.settings,
        database_variable=_DATABASE_VARIABLE,
        sockets=_mounted(service.mounts, _SOCKETS, "/run/postgres"),
        uploads=_mounted(service.mounts, _UPLOADS, ""),
        user=service.user,
        memory=service.memory,
        docker=str(resolve_mapping(environment.target.hosts[0]).get("docker", Questions.docker)),
    )


def _mounted(mounts: Mapping[str, str], folder: str, otherwise: str) -> str:
    """Return where a folder of the host stands in the container."""
    for place, source in mounts.items():
        if source.partition(":")[0] == folder:
            return place
    return otherwise
