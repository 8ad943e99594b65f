"""A page that is damaged in the database: named, marked, never proven, kept beside the last whole point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.errors import DamagedAtSource
from coffer.keys import PrunerCredentials, WriterCredentials
from coffer.recovery.target import RestoreTarget, TargetKind
from coffer.vault.capture import Kind
from coffer.vault.proofs import Result
from coffer.vault.proving import prove_points
from coffer.vault.pruning import plan_prune
from coffer.vault.retention_policy import RetentionPolicy
from tests.integration.postgres_world import DATABASE, World, cluster

pytestmark = pytest.mark.integration
_PAGE = 8192
_ONE = RetentionPolicy(keep_last=1, require_proof="none")


class Harmed(World):
    """A table with a page that the world can damage on disk, and mend."""

    def damage(self, page: int) -> None:
        self.execute("CHECKPOINT")
        self.file = self.server.data / self.execute("SELECT pg_relation_filepath('precious')")[0][0]
        self.at = page * _PAGE + 4000
        with self.file.open("r+b") as file:
            file.seek(self.at)
            self.byte = file.read(1)
            file.seek(self.at)
            file.write(bytes([self.byte[0] ^ 0xFF]))

    def mend(self) -> None:
        with self.file.open("r+b") as file:
            file.seek(self.at)
            file.write(self.byte)


@pytest.fixture(params=["direct", "stream"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harmed]:
    with cluster() as server:
        world = Harmed(tmp_path, server)
        world.conninfo = f"{server.conninfo(DATABASE)} capture={request.param}"
        world.execute("CREATE TABLE precious AS SELECT n, repeat('x', 200) FROM generate_series(1, 20000) n")
        yield world


def test_a_damaged_page_is_named_and_the_point_is_there_but_never_proven(world: Harmed) -> None:
    whole = world.take(Kind.FULL)
    world.damage(7)
    with pytest.raises(DamagedAtSource, match=r"block 7") as caught:
        world.take(Kind.FULL)
    assert caught.value.exit_code == 13
    assert caught.value.point.kind is Kind.FULL
    assert str(world.file.relative_to(world.server.data)) in caught.value.detail
    if "direct" in world.conninfo:
        assert "precious" in caught.value.detail

    # Nothing wrote to that page since: an incremental brings the damage along, and knows it.
    with pytest.raises(DamagedAtSource, match=r"block 7"):
        world.take(Kind.INCREMENTAL)
    reader = world.reader()
    _, first, second = reader.points()
    results = {proof.point: proof.result for proof in prove_points(reader).proofs}
    assert results == {whole.name: Result.PASSED, first.name: Result.DAMAGED, second.name: Result.DAMAGED}
    assert _kept(world) == {whole.name, second.name}


def test_the_next_point_is_whole_again_when_the_page_is(world: Harmed) -> None:
    world.damage(3)
    with pytest.raises(DamagedAtSource):
        world.take(Kind.FULL)
    world.mend()
    if "stream" in world.conninfo:
        world.execute("UPDATE precious SET n = n WHERE ctid = '(3,1)'")  # a server sends only what the log names
    point = world.take(Kind.INCREMENTAL)
    assert point.kind is Kind.INCREMENTAL
    assert not point.damage
    with world.restored(point, RestoreTarget(TargetKind.POINT)) as scratch:
        assert scratch.count_rows(DATABASE)["precious"] == 20_000


def _kept(world: World) -> set[str]:
    """Return what a prune would keep by a policy that keeps one point."""
    credentials = WriterCredentials.load(world.writer_file)
    plan = plan_prune(world.stores, PrunerCredentials(credentials.vault, credentials.root), _ONE)
    return {verdict.point.name for verdict in plan.verdicts if verdict.keep}
