"""The programs that a fault may meet, each as one function of a world and of the stores it reaches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from coffer.keys import PrunerCredentials, Recipient, generate_identity
from coffer.vault import frames
from coffer.vault.administration import VaultAdministration
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.replication import replicate
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from coffer.vault.verification import verify_at_rest
from tests.faults.small import SECOND
from tests.unit.vault.making import Tree, World

THIRD = {**SECOND, b"new": b"new" * 100, b"b": b"third"}
POLICY = RetentionPolicy(keep_last=1, keep_verified=0, require_proof="none")
WAIT_HOURS = 25
Program = Callable[[World, Sequence[Store]], object]


def back_up(world: World, stores: Sequence[Store]) -> object:
    return world.back_up(Tree(THIRD, folders=[b"c"], same=frozenset([b"a", b"c/d", b"e"])), stores=stores)


def put_wal(world: World, stores: Sequence[Store]) -> object:
    return world.writer(stores).put_wal("7300000000000000001", "000000010000000000000004", b"log" * 100)


def prune(world: World, stores: Sequence[Store]) -> object:
    pruner = PrunerCredentials(world.credentials.vault, world.credentials.root)
    return execute(plan_prune(stores, pruner, POLICY, world.now()), stores)


def add_recipient(world: World, stores: Sequence[Store]) -> object:
    path = world.folder / "second"
    if not path.exists():
        generate_identity(path)
    return VaultAdministration(stores, world.identity).add_recipient(Recipient.load(path.with_name("second.pub")))


def remove_recipient(world: World, stores: Sequence[Store]) -> object:
    fingerprint = Recipient.load(world.folder / "second.pub").fingerprint
    return VaultAdministration(stores, world.identity).remove_recipient(fingerprint)


def bring_up(world: World, stores: Sequence[Store]) -> object:
    return replicate(stores[0], stores[1:])


class Twin(World):
    """A copy of a world, to be spoilt: key files and stores of its own."""

    def __init__(self, original: World, folder: Path) -> None:
        shutil.copytree(original.folder, folder)
        self.folder = folder
        self.passed = original.passed
        self.stores = [self._copy(original, store) for store in original.stores]

    def _copy(self, original: World, store: Store) -> Store:
        if isinstance(store, FileStore):
            return FileStore(self.folder / store.root.relative_to(original.folder))
        assert isinstance(store, MemoryStore)
        copy = MemoryStore()
        copy.objects, copy._times, copy._locks = dict(store.objects), dict(store._times), dict(store._locks)
        copy.clock = self.now
        return copy


def assert_nothing_lost(world: World, label: object = "") -> None:
    """The last committed point restores bit for bit, the next backup succeeds, all verifies, prune removes the rest."""
    committed = world.reader().points("app")[-1].counter
    assert restored(world, f"last{label}") == (THIRD if committed > 2 else SECOND)
    back_up(world, world.stores)
    for source in world.stores[1:]:
        replicate(world.stores[0], [source])
        replicate(source, world.stores[:1])
    for _ in range(3):
        prune(world, world.stores)
        let_hours_pass(world, WAIT_HOURS)
    for store in world.stores:
        assert left_over(store) == set()
    assert restored(world, f"next{label}") == THIRD
    assert_whole(world)


def contents(folder: Path) -> dict[Path, bytes]:
    """Return every file below a folder, to see whether anything was changed."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(world: World) -> None:
    """Nothing is found, neither by names alone nor by reading everything back."""
    at_rest, opened = verify_at_rest(world.stores), world.reader().verify()
    assert at_rest.ok, at_rest.problems
    assert opened.ok, opened.problems


def let_hours_pass(world: World, hours: int) -> None:
    """Move the clock of memory stores; make the files of a folder older."""
    if not any(isinstance(store, FileStore) for store in world.stores):
        world.pass_time(hours=hours)
        return
    for store in world.stores:
        if isinstance(store, FileStore):
            for path in store.root.rglob("*"):
                status = path.stat()
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - hours * 3_600_000_000_000))


def left_over(store: Store) -> set[str]:
    """Return the objects that no point needs and that prune should have removed."""
    found = {info.name for info in store.list()}
    needed = set()
    for name in found:
        if name.startswith("lists/"):
            listing = msgspec.msgpack.decode(frames.decompress(store.get(name)[frames.SIGNED_SIZE :], name))
            needed |= {each for each, _ in listing["objects"]}
            needed.add(name)
    keys = {name.rpartition("/")[0] for name in needed if name.startswith("keys/")}
    mine = {name for name in found if name.startswith(("packs/", "trees/", "index/", "keys/run-", "lists/"))}
    return {name for name in mine - needed if name.rpartition("/")[0] not in keys}


def restored(world: World, target: str) -> dict[bytes, bytes]:
    """Restore the newest point into a folder that does not stay."""
    found = world.restore(target)
    shutil.rmtree(world.folder / target)
    return found
