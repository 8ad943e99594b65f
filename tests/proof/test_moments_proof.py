"""Issue 5's first promise at its full number: 20 drawn moments of the window, on PostgreSQL 18, and some on 15."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.moments_world import MomentsWorld, balanced, rows_of
from tests.integration.postgres_world import cluster
from tests.services.postgres15 import cluster15, programs15


@pytest.mark.parametrize(("version", "count"), [(18, 20), (15, 5)])
def test_drawn_moments_come_back_exactly(tmp_path: Path, version: int, count: int) -> None:
    with cluster15() if version == 15 else cluster() as server:
        world = MomentsWorld(tmp_path, server, programs15() if version == 15 else None)
        with world.receiving(), world.load():
            world.take_all(commits_between=60)
        for point, target, rows in world.moments(count, seed=version):
            with world.restored(point, target) as scratch:
                assert rows_of(scratch) == rows, f"{target} from {point.name}"
                assert balanced(scratch)
                assert scratch.amcheck(timeout=300)
