"""From an environment's references to an open vault and its sources."""

from __future__ import annotations

import configparser
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, cast

from coffer.environments import Environment
from coffer.environments.model import Recovery
from coffer.environments.references import resolve_mapping
from coffer.errors import UsageError
from coffer.keys import Identity, WriterCredentials
from coffer.recovery.source_table import parse_sources
from coffer.vault.capture import Source
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store, open_store
from coffer.vault.writer import VaultWriter

IDENTITY_VARIABLE = "COFFER_IDENTITY"


@dataclass(frozen=True)
class VaultAddress:
    """Where a vault is and how a writer reaches it.

    Attributes:
        stores: Store URLs; each is a full copy.
        writer_file: The writer's credentials.
        credentials_file: AWS credentials file with the profiles that the URLs name, or None for the usual places.
    """

    stores: tuple[str, ...]
    writer_file: Path
    credentials_file: Path | None = None

    @classmethod
    def of(cls, environment: Environment) -> VaultAddress:
        """Resolve an environment's vault.

        Raises:
            UsageError: The environment protects nothing, or its reference lacks a field.
        """
        fields = resolve_mapping(recovery_of(environment).vault)
        stores, writer = fields.get("stores"), fields.get("writer_file")
        if not isinstance(stores, list) or not stores or not isinstance(writer, str):
            raise UsageError(f"the vault of {environment.name} needs 'stores' and 'writer_file'")
        return cls(tuple(map(str, stores)), Path(writer), _credentials(fields))

    def open_stores(self) -> list[Store]:
        """Open every store; opening touches nothing."""
        return [open_store(url, credentials_file=self.credentials_file) for url in self.stores]


def recovery_of(environment: Environment) -> Recovery:
    """Return what an environment says of recovery.

    Raises:
        UsageError: It says nothing.
    """
    if environment.recovery is None:
        raise UsageError(
            f"{environment.name} has no [recovery]", resolution="Name its vault and its sources in the file"
        )
    return environment.recovery


def open_writer(environment: Environment) -> VaultWriter:
    """Open the environment's vault for writing: nothing in it can be read back with that."""
    address = VaultAddress.of(environment)
    return VaultWriter.open(address.open_stores(), WriterCredentials.load(address.writer_file))


def open_reader(environment: Environment, identity: Path | None = None) -> VaultReader:
    """Open the environment's vault for reading, with an identity from escrow.

    Args:
        environment: Whose vault.
        identity: The identity's file; default: $COFFER_IDENTITY.

    Raises:
        UsageError: No identity was named. Identities are files, never blocks.
        WrongKey: It does not open this vault.
    """
    named = identity or os.environ.get(IDENTITY_VARIABLE)
    if not named:
        raise UsageError(
            "no identity was given, so nothing can be read back",
            resolution=f"Set {IDENTITY_VARIABLE} to the identity's file; only the escrow worker has it",
        )
    return VaultReader.open(VaultAddress.of(environment).open_stores(), Identity.load(Path(named)))


def open_sources(environment: Environment) -> list[Source]:
    """Return what a recovery point of this environment reads, in the order of one cut.

    Relative paths begin at the environment file's folder.
    """
    return parse_sources(recovery_of(environment).sources, Path(environment.path).absolute().parent)


def _credentials(fields: Mapping[str, object]) -> Path | None:
    if path := fields.get("aws_credentials_file"):
        return Path(str(path))
    given = fields.get("credentials")
    if not isinstance(given, Mapping) or not given:
        return None
    profiles = cast("Mapping[str, Mapping[str, str]]", given)
    return _as_file(tuple((name, keys["access_key"], keys["secret_key"]) for name, keys in sorted(profiles.items())))


@cache
def _as_file(profiles: tuple[tuple[str, str, str], ...]) -> Path:
    """Give boto3 the keys as the one thing it takes profiles from: a file, ours alone, gone with the process."""
    content = configparser.RawConfigParser()
    for name, access_key, secret_key in profiles:
        content[name] = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    kept = tempfile.NamedTemporaryFile("w", prefix="coffer-aws-")  # noqa: SIM115 - lives as long as the process
    _open_files.append(kept)
    content.write(kept)
    kept.flush()
    return Path(kept.name)


def close_files() -> None:
    """Remove what holds credentials at once: for a process that ends without putting itself in order."""
    for file in _open_files:
        file.close()


_open_files: list[IO[str]] = []
