"""Every block explains itself, hides its secrets, and can hold no identity."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

import blocks
from blocks import CofferBlock, Database, DockerHost, Notifier, Redis, Registry, Vault
from blocks.references import TYPES
from coffer.keys.identity import generate_identity

OURS = [Database, DockerHost, Notifier, Redis, Registry, Vault]
VALUES: dict[type[CofferBlock], dict[str, Any]] = {
    Database: {"url": "postgresql://u:hunter2@/d", "admin": "password=hunter2", "backup": "password=hunter2"},
    DockerHost: {
        "docker": "unix:///s",
        "network": "n",
        "directory": "/d",
        "haproxy_socket": "/h",
        "edge_url": "https://e",
    },
    Notifier: {"urls": ["mailto://u:hunter2@h"]},
    Redis: {"url": "redis://:hunter2@h"},
    Registry: {"address": "r:5000", "username": "u", "password": "hunter2"},
    Vault: {"stores": ["file:///v"], "writer_file": "/w"},
}


@pytest.mark.parametrize("block", OURS)
class TestStandards(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, block: type[Block]) -> type[Block]:  # type: ignore[override]
        return block

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """No picture: one would be fetched from somebody else's server by everybody's browser."""
        assert block._logo_url is None


def test_all_classes_of_the_room_are_here() -> None:
    found = {item for _, item in inspect.getmembers(blocks, inspect.isclass)} - {CofferBlock}
    assert found == set(OURS)
    assert found <= set(TYPES.values())


def test_slugs_are_ours_and_for_ever() -> None:
    assert {block.get_block_type_slug() for block in OURS} == {
        "coffer-database",
        "coffer-docker-host",
        "coffer-notifier",
        "coffer-redis",
        "coffer-registry",
        "coffer-vault",
    }


@pytest.mark.parametrize("block", OURS)
def test_a_secret_is_in_no_text_of_the_block(block: type[CofferBlock]) -> None:
    made = block(**VALUES[block])
    assert "hunter2" not in repr(made) + str(made) + made.model_dump_json()
    secrets = block.model_json_schema()["secret_fields"]
    for name, value in VALUES[block].items():
        assert (name in secrets) == ("hunter2" in str(value))


@pytest.mark.parametrize("block", OURS)
def test_a_reference_gets_readable_values(block: type[CofferBlock]) -> None:
    given = VALUES[block]
    reference = block(**given).as_reference()
    assert {name: reference[name] for name in given} == given
    assert not any(isinstance(value, SecretStr) for value in reference.values())


SHAPES = {
    Database: {"url", "admin", "backup"},
    DockerHost: {"docker", "network", "directory", "haproxy_socket", "edge_url", "edge_ca", "uploads"},
    Notifier: {"urls"},
    Redis: {"url", "backup"},
    Registry: {"address", "username", "password"},
    Vault: {"stores", "writer_file", "aws_credentials_file", "credentials"},
}


@pytest.mark.parametrize("block", OURS)
def test_shapes_are_what_flows_rely_on(block: type[CofferBlock]) -> None:
    assert set(block(**VALUES[block]).as_reference()) == SHAPES[block]


@pytest.mark.parametrize("block", OURS)
def test_no_field_is_meant_for_an_identity(block: type[CofferBlock]) -> None:
    forbidden = ("identity", "passphrase", "private", "recipient", "escrow", "root", "unseal", "open")
    assert not [name for name in block.model_fields for word in forbidden if word in name.lower()]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("keys") / "identity"
    generate_identity(path)
    return path.read_text()


@pytest.mark.parametrize(
    ("block", "field"),
    [(block, field) for block in OURS for field in VALUES[block]],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_identity_is_refused_wherever_it_is_put(block: type[CofferBlock], field: str, identity: str) -> None:
    given = VALUES[block]
    hidden: Any = [identity] if isinstance(given[field], list) else identity
    for value in (hidden, SecretStr(identity)):
        with pytest.raises(ValidationError, match="belongs into escrow") as caught:
            block(**{**given, field: value})
        assert json.loads(identity)["seed"] not in str(caught.value)
    with pytest.raises(ValidationError, match="belongs into escrow"):
        block(**given, something={"deep": [identity]})
    block(**given)
