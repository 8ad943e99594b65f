"""Releases on a real Docker host: what people see while they happen, and what is left when they go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.docker_host_world import World, world


@pytest.fixture(scope="module")
def the_world() -> Iterator[World]:
    with world() as built:
        yield built


@pytest.fixture
def host(the_world: World) -> World:
    the_world.reset()
    return the_world


def test_first_release(host: World) -> None:
    for o in host.release("v1"): print(o)
    print(host.plan("v1").describe())
    for o in host.release("v2"): print(o)
