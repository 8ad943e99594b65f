"""What all blocks of Coffer share: they answer a `block:TYPE/NAME` reference with plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from prefect.blocks.core import Block
from pydantic import ConfigDict, HttpUrl, SecretStr, model_validator

BlockType = TypeVar("BlockType", bound=Block)
DOCUMENTATION = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
# The type tag of an identity file (coffer/keys/identity.py). An identity opens everything that was ever backed up.
_IDENTITY_MARK = "coffer-identity"


class CofferBlock(Block, ABC):
    """Credentials and addresses, without any workflow.

    A vault's identity is never a block (settled.md 13): whoever may call Prefect's API can read every block, and a
    backup that everybody can open protects nobody. So a block refuses a value that is one.
    """

    # A value that is refused is often a secret: it has no place in the error.
    model_config = ConfigDict(hide_input_in_errors=True)

    @abstractmethod
    def as_reference(self) -> dict[str, Any]:
        """Return what `coffer.environments.resolve` hands on: plain values, secrets readable."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_an_identity(cls, values: Any) -> Any:  # noqa: ANN401  whatever the caller passed
        if any(_IDENTITY_MARK in text.lower() for text in _texts(values)):
            raise ValueError("a vault's identity belongs into escrow, never into a block")
        return values


def load(block_type: type[BlockType], name: str) -> BlockType:
    """Load a block, here and now.

    Prefect's own method would return a coroutine when any event loop runs in this thread, and the engine, which asks
    for references, knows no loops.
    """
    return cast(BlockType, block_type.load(name, _sync=True))  # type: ignore[call-arg]


def plain(secret: SecretStr | None) -> str:
    """Return a secret's text, empty where there is none."""
    return secret.get_secret_value() if secret is not None else ""


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
