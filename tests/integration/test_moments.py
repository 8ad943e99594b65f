"""While a database is written to, points of every kind are taken; then drawn moments come back, exactly."""

from __future__ import annotations

from pathlib import Path

from coffer.vault.capture import Kind
from tests.integration.moments_world import MomentsWorld, balanced, rows_of
from tests.integration.postgres_world import cluster


def test_three_drawn_moments_come_back_exactly(tmp_path: Path) -> None:
    with cluster() as server:
        world = MomentsWorld(tmp_path, server)
        with world.receiving(), world.load():
            world.take_all(commits_between=8)
        kinds = [source.done for point in world.points if (source := point.source("postgres"))]
        assert kinds == [Kind.FULL, *[Kind.INCREMENTAL] * 3, Kind.DIFFERENTIAL]
        for point, target, rows in world.moments(3, seed=5):
            with world.restored(point, target) as scratch:
                assert rows_of(scratch) == rows, f"{target} from {point.name}"
                assert balanced(scratch)
                assert scratch.amcheck(timeout=120)
