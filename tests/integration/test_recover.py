"""A whole disaster, small: everything deleted under load, and brought back; killed after each step and gone on with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.release.observed import Colour
from tests.integration.disaster_world import Disaster, disaster


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disaster]:
    with disaster(tmp_path_factory.mktemp("disaster")) as made:
        yield made


def test_everything_deleted_comes_back(world: Disaster) -> None:
    with world.receiving():
        for _ in range(20):
            world.write()
        world.take()
        for _ in range(30):
            world.write()
        world.wait_shipped()
        struck = time.time()
        world.strike()
    lines: list[str] = []
    report = world.recovery().run(lines.append)
    left = world.left()
    lost = [at for number, at in world.committed.rows.items() if number not in left.rows]
    assert not [at for at in lost if at < struck - 10], lines
    assert sorted(left.rows) == list(range(1, len(left.rows) + 1))
    assert len(left.sessions) >= 20
    assert report.rto_seconds < 300
    assert world.host.host.proxy.active() is Colour.BLUE
    print("\n".join([*lines, *report.lines()]))
