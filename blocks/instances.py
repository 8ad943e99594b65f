"""The blocks of a local stack, from the file that `coffer stack up` leaves behind."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from blocks import Database, DockerHost, Notifier, Redis, Registry, Vault

SERVICE = "creditai"
_MAIL = "from=coffer@localhost&to=operations@localhost&name=Coffer&mode=insecure"


def of_stack(stack: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
    """Yield name and block of everything that the environment files refer to.

    The identity's place is in the stack's file too; it is not looked at here.

    Args:
        stack: The document of stack.json.
    """
    yield "local", Registry(address=stack["registry"])
    if mail := stack.get("mail"):
        yield "local", Notifier(urls=[SecretStr(f"mailto://{mail['host']}:{mail['port']}/?{_MAIL}")])
    for name, environment in stack["environments"].items():
        yield from _of_environment(name, environment, stack["docker"])
    profiles = {profile: name for profile, name, _ in _writers(stack["stores"])}
    yield from _aws(Path(stack["aws_credentials_file"]), stack["stores"])
    for name in stack["environments"]:
        # Keys from blocks, not from the stack's file: that one holds the profiles too that may delete.
        yield name, Vault(stores=stack["stores"], writer_file=stack["vault"]["writer_file"], aws_credentials=profiles)


def _of_environment(name: str, environment: Mapping[str, Any], docker: str) -> Iterator[tuple[str, Block]]:
    fields = {
        key: environment[key] for key in ("network", "directory", "haproxy_socket", "edge_url", "edge_ca", "uploads")
    }
    yield f"{name}-a", DockerHost(docker=docker, **fields)
    yield (
        f"{SERVICE}-{name}",
        Database(
            url=environment["database_url"],
            admin=environment["admin_conninfo"],
            backup=environment["backup_conninfo"],
        ),
    )
    socket = environment.get("redis_socket")
    yield f"{SERVICE}-{name}", Redis(url=environment["redis_url"], backup=f"unix://{socket}" if socket else None)


def _writers(stores: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield profile, block name and region of each store's writer: one block a region."""
    for letter, store in zip(ascii_lowercase, stores, strict=False):
        options = parse_qs(urlsplit(store).query)
        for profile in options.get("profile", []):
            yield profile, f"region-{letter}", options.get("region", [""])[0]


def _aws(path: Path, stores: list[str]) -> Iterator[tuple[str, Block]]:
    """Yield the AWS Credentials of the stores' writers; the file's other profiles may delete, so they stay there."""
    file = configparser.ConfigParser(interpolation=None)
    file.read_string(path.read_text())
    for profile, name, region in _writers(stores):
        keys = file[profile]
        yield (
            name,
            AwsCredentials(
                aws_access_key_id=keys["aws_access_key_id"],
                aws_secret_access_key=SecretStr(keys["aws_secret_access_key"]),
                region_name=region,
            ),
        )
