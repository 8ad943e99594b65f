"""From a kit and an identity to an environment whose references resolve, on a host that has nothing else."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coffer.environments import Environment
from coffer.environments.references import Reference, given
from coffer.errors import CofferError, UsageError
from coffer.keys.opener import Opener
from coffer.keys.passphrase import Passphrase
from coffer.recovery.access import recovery_of
from coffer.recovery.kit import Kit, load_kit
from coffer.sources import references
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store


@dataclass(frozen=True)
class OpenedKit:
    """A kit that is in use.

    Attributes:
        kit: What it says.
        environment: Its environment; its references resolve while the kit is open.
    """

    kit: Kit
    environment: Environment


@contextmanager
def opened_kit(
    path: Path | None,
    who: Opener | Passphrase,
    *,
    directory: Path | None = None,
    secrets_file: Path | None = None,
    credentials: Path | None = None,
) -> Iterator[OpenedKit | None]:
    """Let references be answered from a kit, a point of its vault and a file of secrets, in the `with` block.

    Args:
        path: The kit; None gives None, for callers to whom a kit is a choice.
        who: Opens the vault.
        directory: Where the service shall stand instead of its old directory.
        secrets_file: TOML or JSON with what references resolve to; comes before the point's.
        credentials: AWS credentials file for the stores.

    Raises:
        UsageError: The kit or the file of secrets is none, or a secret is in neither.
        IntegrityError: The kit was changed, or its vault is another one.
    """
    if path is None:
        if directory or secrets_file or credentials:
            raise UsageError("--directory, --secrets and --aws-credentials go with --kit")
        yield None
        return
    kit = load_kit(path)
    with tempfile.TemporaryDirectory(prefix="coffer-kit-") as folder:
        environment = kit.load_environment(Path(folder))
        answers = {**_hosts(kit, directory), **_vault(kit, environment, credentials)}
        known = {**_secrets_of_point(kit, who, credentials), **_read(secrets_file)}
        if missing := [key for key in kit.secrets if key not in known]:
            raise UsageError(
                f"nothing says what {missing[0]} is",
                detail=f"no point of kind references holds {', '.join(missing)}",
                resolution="Write it into a file and add --secrets FILE; the kit shows how",
            )
        bare = environment if directory is None else _without_keeper(environment)
        with given({**known, **answers}):
            yield OpenedKit(kit, bare)


def _hosts(kit: Kit, directory: Path | None) -> dict[str, object]:
    """Return hosts as the kit has them, or moved: a new host has no edge yet, and no other's paths."""
    if directory is None:
        return dict(kit.hosts)
    here = directory.absolute()
    moved: dict[str, object] = {}
    for key, fields in kit.hosts.items():
        if "directory" not in fields:
            moved[key] = fields
            continue
        own = {"directory": str(here), "haproxy_socket": str(here / "haproxy" / "admin.sock"), "edge_url": ""}
        moved[key] = {**fields, **own, "network": f"coffer-{here.name}", "uploads": str(here / "uploads")}
    return moved


def _vault(kit: Kit, environment: Environment, credentials: Path | None) -> dict[str, object]:
    key = Reference.parse(recovery_of(environment).vault).key
    fields: dict[str, Any] = {"stores": kit.stores, "writer_file": "no writer comes with a kit"}
    if credentials is not None:
        fields["aws_credentials_file"] = str(credentials.absolute())
    return {key: fields}


def _without_keeper(environment: Environment) -> Environment:
    """Return the environment of a host on which nobody keeps programs yet: we start them."""
    recovery = recovery_of(environment)
    place = recovery.place.model_copy(update={"keeper": "own", "units": {}})
    return environment.model_copy(update={"recovery": recovery.model_copy(update={"place": place})})


def _secrets_of_point(kit: Kit, who: Opener | Passphrase, credentials: Path | None) -> dict[str, object]:
    """Return what the newest point that holds references says."""
    stores = [open_store(url, credentials_file=credentials) for url in kit.stores]
    reader = VaultReader.open(stores, who, root=kit.root)
    for point in reversed(reader.points(kit.service)):
        for source in point.sources:
            if source.kind == "references":
                content = reader.read_file(point, source.name, references.FILE.encode())
                found: dict[str, object] = json.loads(content)
                return found
    return {}


def _read(path: Path | None) -> Mapping[str, object]:
    if path is None:
        return {}
    try:
        text = path.read_text()
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} holds no secrets that can be read", detail=str(error)) from error
    try:
        return {Reference.parse(key).key: value for key, value in found.items()}
    except CofferError as error:
        raise UsageError(f"{path} names no references", detail=str(error)) from error
