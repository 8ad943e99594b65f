"""The ledger of proofs: who may sign, what counts, what is read next, what damage does."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import IntegrityError, StoreFull
from coffer.keys import PrunerCredentials
from coffer.vault import names, proof_ledger, proofs
from coffer.vault.capture import Kind
from coffer.vault.points import Point
from coffer.vault.proof_ledger import PointProofs, ProofLedger
from coffer.vault.proof_planning import ReadablePoint, plan_reading
from coffer.vault.proofs import How, Proof, Result
from coffer.vault.proving import prove_due, prove_points, record_drill
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.retention import Proven, RetentionPolicy
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.making import Tree, World
from tests.unit.vault.stranger import Stranger

NOW = datetime(2026, 3, 31, tzinfo=UTC)
DAY = timedelta(days=1)


def ledger(world: World) -> ProofLedger:
    access = world.reader().access()
    return proof_ledger.read(access.stores, access.configuration)


def known(world: World, point: Point) -> PointProofs:
    return ledger(world).of(point.service, point.name, point.object_name)


def pack_of(world: World, content: bytes, kind: Kind = Kind.FULL) -> tuple[Point, str]:
    """Take a point whose content is in a pack of its own."""
    before = set(world.memory.objects)
    point = world.back_up(Tree({b"a": content}), kind=kind)
    [pack] = [name for name in set(world.memory.objects) - before if name.startswith("packs/")]
    return point, pack


def harm(world: World, name: str) -> None:
    for store in world.stores:
        assert isinstance(store, MemoryStore)
        store.objects[name] = store.objects[name][:-1] + bytes([store.objects[name][-1] ^ 1])


def test_reading_back_proves_a_point_and_says_when_and_where(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    first, second = (world.back_up(Tree({b"a": os.urandom(3000)}), kind=Kind.FULL) for _ in range(2))
    proving = prove_points(world.reader(), [first])
    assert proving.report.ok
    [proof] = proving.proofs
    assert (proof.point, proof.result, proof.how) == (first.name, Result.PASSED, How.READ_BACK)
    assert proof.stores == [store.url for store in world.stores]
    assert proof.by == world.identity.fingerprint
    assert len(proof.packs) == 1
    assert known(world, first).proven is Proven.READ_BACK
    assert known(world, second).proven is Proven.NOTHING
    for store in world.stores:
        assert len([*store.list(f"proofs/app/{first.name}/")]) == 1


def test_what_is_committed_while_all_is_read_is_not_called_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    first = world.back_up(Tree({b"a": b"1"}))
    reader = world.reader()
    verify = reader.verify
    late: list[Point] = []

    def verify_and_commit(*arguments: object) -> object:
        report = verify(*arguments)  # type: ignore[arg-type]
        late.append(world.back_up(Tree({b"a": b"2"}), kind=Kind.FULL))
        return report

    monkeypatch.setattr(reader, "verify", verify_and_commit)
    assert [proof.point for proof in prove_points(reader).proofs] == [first.name]
    assert known(world, late[0]).proven is Proven.NOTHING


def test_a_drill_counts_for_more_until_one_fails_to_bring_it_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}))
    record_drill(world.reader(), point, Result.PASSED, facts={"rto_seconds": 4.5})
    assert known(world, point).proven is Proven.DRILLED
    assert known(world, point).proofs[0].facts == {"rto_seconds": 4.5}
    record_drill(world.reader(), point, Result.FAILED, "too slow")
    assert known(world, point).proven is Proven.NOTHING
    assert not known(world, point).damaged
    prove_points(world.reader())
    assert known(world, point).proven is Proven.READ_BACK
    record_drill(world.reader(), point, Result.DAMAGED, "pg_amcheck")
    prove_points(world.reader())
    assert known(world, point).damaged
    assert "pg_amcheck" in known(world, point).detail
    record_drill(world.reader(), point, Result.PASSED)
    assert known(world, point).proven is Proven.DRILLED


def test_damage_in_every_store_marks_each_point_that_needs_it(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    content = os.urandom(200_000)
    first, pack = pack_of(world, content)
    second = world.back_up(Tree({b"a": content, b"b": os.urandom(2000)}), kind=Kind.FULL)
    third, _ = pack_of(world, os.urandom(2000))
    harm(world, pack)
    proving = prove_points(world.reader(), [second])
    assert not proving.report.ok
    assert {(proof.point, proof.result) for proof in proving.proofs} == {
        (first.name, Result.DAMAGED),
        (second.name, Result.DAMAGED),
    }
    assert pack in known(world, first).detail
    assert not known(world, third).proofs
    assert len(prove_points(world.reader(), [second]).proofs) == 1  # the first is known to be damaged


def test_damage_in_one_store_leaves_a_point_proven_by_the_other(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    point, pack = pack_of(world, os.urandom(200_000))
    world.memory.objects[pack] = b"rot"
    proving = prove_points(world.reader())
    assert not proving.report.ok
    assert proving.proofs[0].stores == [world.stores[1].url]
    assert known(world, point).proven is Proven.READ_BACK
    assert proving.proofs[0].packs == []  # it was not read whole everywhere, so it is read again soon


def test_mended_damage_is_taken_back_by_reading_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    point, pack = pack_of(world, os.urandom(200_000))
    good = world.memory.objects[pack]
    harm(world, pack)
    prove_points(world.reader())
    assert known(world, point).damaged
    world.memory.objects[pack] = good
    assert prove_points(world.reader()).report.ok
    assert known(world, point).proven is Proven.READ_BACK


def test_a_store_that_does_not_answer_proves_nothing_and_disproves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    point, pack = pack_of(world, os.urandom(200_000))
    world.memory.objects[pack] = b"rot"
    reader = world.reader()
    second = world.stores[1]

    def silent(name: str, offset: int = 0, length: int | None = None) -> bytes:
        from coffer.errors import Unreachable

        if name == pack:
            raise Unreachable("away")
        return type(second).get(second, name, offset, length)  # type: ignore[arg-type]

    second.get = silent  # type: ignore[method-assign]
    assert not prove_points(reader).proofs
    assert not known(world, point).proofs


@pytest.mark.parametrize("how", ["writer", "moved", "altered"])
def test_only_the_root_makes_a_proof(tmp_path: Path, how: str) -> None:
    world = World(tmp_path)
    first, second = (world.back_up(Tree({b"a": os.urandom(9)}), kind=Kind.FULL) for _ in range(2))
    [proof] = prove_points(world.reader(), [first]).proofs
    [name] = [name for name in world.memory.objects if name.startswith("proofs/")]
    data = world.memory.objects.pop(name)
    if how == "writer":
        forged = proofs.seal(world.credentials.signing_key, proof)
    elif how == "moved":
        place = f"proofs/app/{second.name}"
        forged = (names.name_of(place, names.ObjectName.parse(name).id, data), data)
    else:
        data = data[:-1] + bytes([data[-1] ^ 1])
        forged = (names.name_of(name.rpartition("/")[0], names.ObjectName.parse(name).id, data), data)
    world.memory.put(*forged)
    assert known(world, first).proven is known(world, second).proven is Proven.NOTHING
    assert any("not believed" in note for note in ledger(world).notes)
    access = world.reader().access()
    with pytest.raises(IntegrityError):
        proofs.open_proof(access.configuration, *forged)


def test_a_proof_is_of_one_manifest_only(tmp_path: Path) -> None:
    """Another point under the same name is not proven by it."""
    world = World(tmp_path)
    point = world.back_up(Tree({b"a": b"1"}))
    prove_points(world.reader())
    other = point.object_name[:-64] + "0" * 64
    assert ledger(world).of("app", point.name, other).proven is Proven.NOTHING


def test_what_retention_asks_for_is_found_in_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path)
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    policy = RetentionPolicy(keep_last=1)
    first, _ = pack_of(world, os.urandom(2000))
    second, pack = pack_of(world, os.urandom(2000))
    assert plan_prune(world.stores, pruner, policy, world.now()).refusals
    prove_points(world.reader(), [first])
    plan = plan_prune(world.stores, pruner, policy, world.now())
    assert [each.reason for each in plan.verdicts] == ["one of the last 1 that were read back", "the newest"]
    prove_points(world.reader(), [second])
    plan = plan_prune(world.stores, pruner, policy, world.now())
    assert [each.keep for each in plan.verdicts] == [False, True]
    harm(world, pack)
    prove_points(world.reader(), [second])
    assert all(each.keep for each in plan_prune(world.stores, pruner, policy, world.now()).verdicts)


def test_the_proofs_of_a_point_go_with_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    for _ in range(2):
        world.back_up(Tree({b"a": os.urandom(2000)}), kind=Kind.FULL)
    prove_points(world.reader())
    for _ in range(2):
        execute(plan_prune(world.stores, pruner, RetentionPolicy(keep_last=1), world.now()), world.stores)
        world.pass_time(hours=25)
    [point] = world.reader().points()
    assert {name.split("/")[2] for name in world.memory.objects if name.startswith("proofs/")} == {point.name}
    assert known(world, point).proven is Proven.READ_BACK


def test_a_budget_reads_the_newest_first_and_all_of_it_in_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = [pack_of(world, os.urandom(100_000)) for _ in range(4)]
    for number in (3, 2, 1, 0):
        proving = prove_due(world.reader(), 4 * DAY, 150_000, now=NOW + (3 - number) * DAY)
        assert proving.report.ok
        assert [proof.point for proof in proving.proofs] == [made[number][0].name]
        assert known(world, made[number][0]).proven is Proven.READ_BACK
    later = prove_due(world.reader(), 4 * DAY, 150_000, now=NOW + 3.5 * DAY)
    assert [proof.point for proof in later.proofs] == [made[3][0].name]
    assert later.plan is not None
    assert not later.plan.late


def test_what_was_read_for_another_point_needs_no_reading_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    files = {b"big": os.urandom(500_000)}
    world.back_up(Tree(files), kind=Kind.FULL)
    prove_due(world.reader(), 30 * DAY)
    second = world.back_up(Tree({**files, b"more": os.urandom(1000)}, same=frozenset(files)))
    proving = prove_due(world.reader(), 30 * DAY)
    assert [(proof.point, proof.result) for proof in proving.proofs] == [(second.name, Result.PASSED)]
    assert proving.report.bytes < 20_000
    again = prove_due(world.reader(), 30 * DAY)
    assert not again.proofs
    assert not again.report.objects


def test_one_point_alone_is_read_but_not_what_was_read_for_others_lately(tmp_path: Path) -> None:
    world = World(tmp_path)
    files = {b"big": os.urandom(500_000)}
    first = world.back_up(Tree(files), kind=Kind.FULL)
    prove_due(world.reader(), 7 * DAY, only=first)
    world.back_up(Tree({b"x": b"never read"}), kind=Kind.FULL)
    second = world.back_up(Tree({**files, b"more": os.urandom(1000)}), kind=Kind.FULL)
    proving = prove_due(world.reader(), 7 * DAY, only=second)
    assert [(proof.point, proof.result) for proof in proving.proofs] == [(second.name, Result.PASSED)]
    later = prove_due(world.reader(), 7 * DAY, only=second, now=datetime.now(UTC) + 8 * DAY)
    assert [proof.point for proof in later.proofs] == [second.name]
    assert later.report.bytes > 500_000


def test_a_point_of_which_part_was_read_is_not_proven(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = {b"a": os.urandom(100_000)}
    pack_of(world, first[b"a"])
    point = world.back_up(Tree({**first, b"b": os.urandom(100_000)}, same=frozenset(first)))
    proving = prove_due(world.reader(), 30 * DAY, 120_000)
    assert {proof.point: proof.result for proof in proving.proofs}[point.name] is Result.PARTIAL
    assert known(world, point).proven is Proven.NOTHING
    assert "partly" in known(world, point).describe()
    prove_due(world.reader(), 30 * DAY, 120_000)
    assert known(world, point).proven is Proven.READ_BACK


@st.composite
def vaults(draw: st.DrawFn) -> tuple[list[ReadablePoint], dict[bytes, datetime]]:
    sizes = {bytes([number]): draw(st.integers(1, 100)) for number in range(draw(st.integers(1, 12)))}
    points = [
        ReadablePoint(
            f"p{number}",
            NOW - timedelta(hours=draw(st.integers(0, 2000))),
            {pack: sizes[pack] for pack in draw(st.sets(st.sampled_from(sorted(sizes)), min_size=1))},
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    read = draw(st.dictionaries(st.sampled_from(sorted(sizes)), st.integers(0, 2000), max_size=12))
    return points, {pack: NOW - timedelta(hours=age) for pack, age in read.items()}


@settings(max_examples=60, deadline=None)
@given(vaults(), st.integers(1, 40), st.none() | st.integers(1, 300))
def test_a_plan_keeps_its_budget_leaves_nothing_unsaid_and_takes_the_riskiest(
    vault: tuple[list[ReadablePoint], dict[bytes, datetime]], days: int, budget: int | None
) -> None:
    points, read_at = vault
    within = days * DAY
    plan = plan_reading(points, read_at, NOW, within, budget)
    sizes = {pack: size for point in points for pack, size in point.packs.items()}
    assert plan.size == sum(sizes[pack] for pack in plan.packs)
    assert budget is None or plan.size <= budget or len(plan.packs) == 1
    late = {pack for pack in sizes if pack not in plan.packs and (pack not in read_at or NOW - read_at[pack] >= within)}
    assert (plan.late, plan.late_size) == (len(late), sum(sizes[pack] for pack in late))
    assert budget is not None or not late
    chosen = [point for point in points if point.key in plan.points]
    assert plan.packs <= {pack for point in chosen for pack in point.packs}
    never_left = [pack for pack in sizes if pack not in read_at and pack not in plan.packs]
    assert not never_left or all(pack not in read_at for pack in plan.packs)


@settings(max_examples=30, deadline=None)
@given(vaults(), st.integers(50, 120))
def test_with_a_budget_that_suffices_every_pack_is_read_within_the_days(
    vault: tuple[list[ReadablePoint], dict[bytes, datetime]], share: int
) -> None:
    points, read_at = vault
    sizes = {pack: size for point in points for pack, size in point.packs.items()}
    days, now = 20, NOW
    read = dict(read_at)
    for _ in range(3 * days):
        plan = plan_reading(points, read, now, days * DAY, share + sum(sizes.values()) // 4)
        read |= dict.fromkeys(plan.packs, now)
        now += DAY
    assert all(now - read[pack] <= days * DAY for pack in sizes)


def test_a_stranger_reads_proofs_and_marks_by_the_document(tmp_path: Path) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    old, new = (world.back_up(Tree({b"a": os.urandom(9)}), kind=Kind.FULL) for _ in range(2))
    prove_points(world.reader(), [new])
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    plan = plan_prune(world.stores, pruner, RetentionPolicy(), world.now())
    execute(plan, world.stores)
    identity = world.identity
    stranger = Stranger(tmp_path / "store", identity.seed, world.credentials.root)
    first, second = stranger.points()
    assert stranger.proofs(first) == []
    [proof] = stranger.proofs(second)
    assert (proof["how"], proof["result"], len(proof["packs"])) == ("read-back", "passed", 1)
    assert stranger.marked() == set(plan.fresh)
    assert old.object_name in stranger.marked()


def test_a_proof_says_what_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    [proof] = prove_points(world.reader()).proofs
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(proof), type=Proof) == proof
    assert "read back" in PointProofs.of([proof]).describe()
    assert PointProofs().describe() == "not proven"


def test_a_proof_is_kept_where_it_can_be_and_that_it_is_nowhere_is_said(tmp_path: Path) -> None:
    world = World(tmp_path, [MemoryStore(), MemoryStore()])
    point = world.back_up(Tree({b"a": b"1"}))

    def full(name: str, data: bytes) -> None:
        raise StoreFull("full", detail=name)

    first, second = world.stores
    first.put = full  # type: ignore[method-assign, assignment]
    assert prove_points(world.reader()).notes == []
    assert known(world, point).proven is Proven.READ_BACK
    assert len([*second.list("proofs/")]) == 1
    second.put = full  # type: ignore[method-assign, assignment]
    proving = prove_points(world.reader())
    assert proving.report.ok
    assert "kept nowhere: full" in proving.notes[0]
    with pytest.raises(StoreFull):
        record_drill(world.reader(), point, Result.PASSED)
