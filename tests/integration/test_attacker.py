"""Someone with the writer's store credentials and raw boto3: what he does is refused or found, and nothing is lost.

What each single call may do is in test_store_identity.py; here he wants the vault as a whole.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from coffer.errors import Forged, RefusedByPolicy, WrongKey
from coffer.keys import Identity, PrunerCredentials, WriterCredentials
from coffer.vault import configuration as configurations
from coffer.vault import frames, marks, names, points, proofs
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.configuration import RecipientRecord
from coffer.vault.points import ObjectList
from coffer.vault.proofs import How, Proof, Result
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.reader import VaultReader
from coffer.vault.retention import RetentionPolicy
from coffer.vault.store_set import StoreSet
from coffer.vault.stores import Store, open_store
from coffer.vault.verification import verify_at_rest
from tests.faults.outcomes import refused, shows
from tests.services.s3 import S3
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FIRST = {b"a": os.urandom(20_000), b"b": b"first"}
SECOND = {**FIRST, b"b": b"second"}
WAL = b"log" * 1000


@dataclass
class Attack:
    """A vault in a bucket with Object Lock, and a thief with the writer's store identity and nothing else."""

    server: S3
    world: World
    prefix: str

    @property
    def store(self) -> Store:
        return self.world.stores[0]

    @property
    def raw(self) -> Any:
        return self.server.client("writer")

    def key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.server.bucket, "Key": f"{self.prefix}/{name}"}

    def put(self, name: str, data: bytes) -> None:
        self.raw.put_object(**self.key(name), Body=data)

    def names(self, prefix: str = "") -> list[str]:
        return [info.name for info in self.store.list(prefix)]

    def problems(self) -> dict[str, str]:
        return {each.object: each.what for each in verify_at_rest(self.world.stores).problems}

    def everything_is_given_back(self, folder: Path) -> None:
        """Both points and the WAL, by name: what was forged beside them is passed over."""
        reader = self.world.reader()
        for number, files in enumerate((FIRST, SECOND), 1):
            [manifest] = [name for name in self.genuine if name.startswith(f"points/app/{number:06d}")]
            target = folder / secrets.token_hex(4)
            reader.restore(reader.point(manifest.split("/")[2], "app"), "files", target)
            assert {path.name.encode(): path.read_bytes() for path in target.iterdir()} == files
        assert reader.get_wal(CLUSTER, SEGMENT) == WAL

    genuine: tuple[str, ...] = ()


@pytest.fixture
def attack(s3: S3, tmp_path: Path) -> Iterator[Attack]:
    prefix = f"attack-{secrets.token_hex(4)}"
    (tmp_path / "world").mkdir()
    store = open_store(s3.url(prefix), credentials_file=s3.credentials_file)
    world = World(tmp_path / "world", [store])
    VaultAdministration([store], world.identity).set_retention(RetentionPolicy(keep_days=1, require_proof="none"))
    world.back_up(Tree(FIRST), kind=Kind.FULL)
    world.back_up(Tree(SECOND, same=frozenset([b"a"])))
    world.writer().put_wal(CLUSTER, SEGMENT, WAL)
    world.reader().points()
    attack = Attack(s3, world, prefix)
    attack.genuine = tuple(attack.names())
    yield attack
    attack.everything_is_given_back(tmp_path)


@shows(
    "Attacker: overwrites every object", stays="each is found by verify; everything is given back from older versions"
)
def test_he_overwrites_everything(attack: Attack) -> None:
    for name in attack.genuine:
        attack.put(name, b"rot" * 100)
    found = attack.problems()
    assert {name for name in attack.genuine if found.get(name) == "damaged"} == set(attack.genuine)


@shows("Attacker: deletes objects and versions, hides them behind delete markers", stays="refused by the store")
def test_he_deletes_and_hides(attack: Attack) -> None:
    listing = attack.server.client("admin").list_object_versions(Bucket=attack.server.bucket, Prefix=attack.prefix)
    for version in listing["Versions"]:
        key = {"Bucket": attack.server.bucket, "Key": version["Key"]}
        for more in ({}, {"VersionId": version["VersionId"]}):
            with pytest.raises(ClientError, match="AccessDenied"):
                attack.raw.delete_object(**key, **more)
    assert attack.problems() == {}


@shows(
    "Attacker: replays an older history (older points, lists and configurations as the newest versions)",
    stays="found by verify; the genuine versions are read",
)
def test_he_replays_an_older_history(attack: Attack) -> None:
    for prefix in ("points/app/", "lists/app/", "config/"):
        older, newer = sorted(attack.names(prefix))[:2]
        data = attack.store.get(older)
        attack.put(newer, data)
        assert attack.problems()[newer] == "damaged"
        place = newer.rpartition("/")[0]
        attack.put(names.name_of(place, names.new_id(), data), data)
    reader = attack.world.reader()
    assert reader.point("latest").counter == 2
    assert reader.retention.keep_days == 1
    attack.world.writer()


@shows(
    "Attacker: publishes a configuration that makes him a recipient",
    WrongKey,
    stays="passed over and said; he opens nothing",
)
def test_he_makes_himself_a_recipient(attack: Attack) -> None:
    world, thief, secret = attack.world, Identity.generate(), secrets.token_bytes(32)
    genuine = configurations.load(StoreSet(world.stores), root=world.credentials.root)
    mine = RecipientRecord("thief", thief.recipient.public)
    forged = msgspec.structs.replace(genuine, number=genuine.number + 1, recipients=[*genuine.recipients, mine])
    for name, data in (
        configurations.publish(forged, secret),
        configurations.publish(msgspec.structs.replace(forged, number=forged.number + 1), secret),
    ):
        attack.put(name, data)
    assert any("no configuration of this vault's root" in note for note in world.reader().notes)
    point = world.back_up(Tree({b"later": b"1"}), kind=Kind.FULL)
    assert point.counter == 3
    with refused():
        VaultReader.open(world.stores, thief, root=world.credentials.root)


def forged_point(attack: Attack, secret: bytes) -> tuple[str, bytes]:
    """A manifest as only a writer's host could make it but for the signature: the thief has the index keys too."""
    writer = attack.world.writer()
    newest = writer._known("app")[-1].manifest
    later = msgspec.structs.replace(newest, counter=9, name=f"000009{newest.name[6:]}", id=os.urandom(16))
    return points.seal_manifest(writer._keys, secret, later)


@shows(
    "Attacker: forges a point, with a signing key of his own",
    Forged,
    stays="listing says so; every genuine point is given back",
)
def test_he_forges_a_point(attack: Attack) -> None:
    name, data = forged_point(attack, secrets.token_bytes(32))
    attack.put(name, data)
    with refused(name):
        attack.world.reader().points()
    assert attack.world.reader().point("latest").counter == 2
    assert name in {each.object for each in attack.world.reader().verify().problems}


@shows("Attacker: forges a point's list", Forged, stays="nothing is pruned by it; verify says so")
def test_he_forges_a_list(attack: Attack) -> None:
    genuine = next(name for name in attack.genuine if name.startswith("lists/app/000002"))
    record = msgspec.msgpack.decode(
        frames.decompress(attack.store.get(genuine)[frames.SIGNED_SIZE :], genuine), type=ObjectList
    )
    lie = msgspec.structs.replace(record, objects=[], id=bytes(16))  # the smallest id comes first in a listing
    name, data = points.seal_list(secrets.token_bytes(32), lie)
    attack.put(name, data)
    assert attack.problems()[name] == "not genuine"
    pruner = PrunerCredentials(attack.world.credentials.vault, attack.world.credentials.root)
    with refused(name):
        plan_prune(attack.world.stores, pruner)


@shows("Attacker: forges a mark that names everything", stays="what points need is never swept; he only makes work")
def test_he_forges_a_mark(attack: Attack) -> None:
    world = attack.world
    name, data = marks.seal(bytes.fromhex(world.credentials.vault), attack.genuine, world.now() - timedelta(days=900))
    attack.put(name, data)
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    admin = [
        open_store(attack.server.url(attack.prefix, profile="admin"), credentials_file=attack.server.credentials_file)
    ]
    plan = plan_prune(admin, pruner)
    assert plan.count == 0
    assert not plan.going
    execute(plan, admin)
    assert set(attack.genuine) <= set(attack.names())
    third = {**SECOND, b"c": b"third"}
    world.back_up(Tree(third))
    assert world.restore() == third


@shows(
    "Attacker: forges a proof, to have good points called damaged or bad ones proven", stays="not believed, and said"
)
def test_he_forges_a_proof(attack: Attack) -> None:
    world = attack.world
    for point in world.reader().points():
        lie = Proof(
            vault=bytes.fromhex(world.credentials.vault),
            service="app",
            point=point.name,
            manifest=bytes.fromhex(point.object_name[-64:]),
            how=How.READ_BACK,
            result=Result.DAMAGED,
            at_ns=points.to_ns(world.now()),
            by="thief",
        )
        attack.put(*proofs.seal(world.credentials.signing_key, lie))
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    plan = plan_prune(world.stores, pruner)
    assert all(verdict.keep for verdict in plan.verdicts)
    assert plan.notes


@shows("Attacker: fills the vault with junk under every prefix", stays="said to be stray or not what was written")
def test_he_fills_it_with_junk(attack: Attack) -> None:
    junk = os.urandom(1000)
    spots = {name.rpartition("/")[0] for name in attack.genuine} | {"points/app/000009-20260101T000000Z-00000000"}
    put = [names.name_of(spot, names.new_id(), junk) for spot in sorted(spots) if not spot.startswith("wal/")]
    put += [f"{spot}/junk" for spot in sorted(spots)] + ["junk", "points/x", "config/99999999/y"]
    for name in put:
        attack.put(name, junk)
    found = attack.problems()
    assert {name for name in put if name.endswith(("junk", "/x", "/y"))} <= found.keys()
    attack.world.writer().put_wal(CLUSTER, SEGMENT, WAL)
    attack.world.writer().put_wal(CLUSTER, "000000010000000000000004", WAL)


@shows("Attacker: shortens the locks of every object", stays="refused by the store; the dates stand")
def test_he_shortens_locks(attack: Attack) -> None:
    needed = [name for name in attack.genuine if name.startswith(("packs/", "points/", "lists/", "index/", "trees/"))]
    before = {name: attack.store.locked_until(name) for name in needed}
    assert all(before.values())
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": attack.world.now() + timedelta(minutes=1)}
    for name in needed:
        with pytest.raises(ClientError):
            attack.raw.put_object_retention(**attack.key(name), Retention=soon)
    assert {name: attack.store.locked_until(name) for name in needed} == before


@shows(
    "Attacker: has the writer's files too, and is found out: his writer is revoked",
    RefusedByPolicy,
    Forged,
    stays="he writes no more; what he wrote before stays genuine, what he signs after is not",
)
def test_his_writer_is_revoked(attack: Attack) -> None:
    world = attack.world
    late = forged_point(attack, world.credentials.signing_key)
    administration = VaultAdministration(world.stores, world.identity)
    administration.add_writer("new", world.folder / "new")
    administration.revoke_writer("writer")
    with refused("may not write"):
        world.writer()
    attack.put(*late)
    with refused("revoked"):
        world.reader().points()
    assert world.reader().point("latest").counter == 2
    new = WriterCredentials.load(world.folder / "new")
    assert new.name == "new"
