"""Resolves `block:TYPE/NAME`; registered as `block` in the entry-point group `coffer.references`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from prefect.blocks.core import Block
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from prefect_aws import AwsCredentials

from blocks import CofferBlock, Database, DockerHost, Notifier, Redis, Registry, Vault
from blocks.reference import load, plain
from coffer.errors import NotThere, Unreachable, UsageError

TYPES: Mapping[str, type[Block]] = {
    "aws-credentials": AwsCredentials,
    "database": Database,
    "docker-host": DockerHost,
    "notifier": Notifier,
    "redis": Redis,
    "registry": Registry,
    "vault": Vault,
}


def resolve(type: str, name: str) -> Mapping[str, Any]:
    """Return the values of a block.

    Args:
        type: What stands before the slash, a key of `TYPES`.
        name: The block's name.

    Raises:
        UsageError: There is no such type, or no Prefect server is configured.
        NotThere: There is no block of that name.
        Unreachable: Prefect does not answer.
    """
    if type not in TYPES:
        raise UsageError(f"there is no block type '{type}'", detail=f"known: {', '.join(TYPES)}")
    if not PREFECT_API_URL.value():
        # Prefect would start a server of its own for one question, and that server knows no blocks.
        raise UsageError(
            f"block:{type}/{name} needs a Prefect server",
            detail="PREFECT_API_URL is not set",
            resolution="Set it, or write env: or file: references, which need none",
        )
    try:
        block = load(TYPES[type], name)
    except ValueError as error:
        raise _not_loaded(type, name, error) from error
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise Unreachable(
            f"block:{type}/{name} cannot be read", detail=str(error), resolution="Look at PREFECT_API_URL"
        ) from error
    return _values(block)


def _values(block: Block) -> Mapping[str, Any]:
    if isinstance(block, CofferBlock):
        return block.as_reference()
    assert isinstance(block, AwsCredentials)  # noqa: S101  TYPES holds no other
    return {"access_key": block.aws_access_key_id or "", "secret_key": plain(block.aws_secret_access_key)}


def _not_loaded(type: str, name: str, error: ValueError) -> NotThere | UsageError:
    if "Unable to find block document" in str(error):
        return NotThere(
            f"there is no block:{type}/{name}", resolution="Make it in Prefect's UI, or run: coffer stack up"
        )
    return UsageError(f"block:{type}/{name} does not fit its type", detail=type_problem(error))


def type_problem(error: ValueError) -> str:
    """Return which fields are wrong, without their values: those may be secrets."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors(include_input=False))
