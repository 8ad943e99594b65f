"""A change of recipients or writers that dies at any store call: nobody is locked out, the same again completes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.errors import NotAllowed, NotThere, RefusedByPolicy, Unreachable, UsageError
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.keys.passphrase import Argon2Parameters, Passphrase
from coffer.vault import key_objects
from coffer.vault.administration import VaultAdministration
from coffer.vault.passphrases import Remembered
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.stores.protocol import Store
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(20_000)}
CHANGES = ("put", "delete")
Step = Callable[[VaultAdministration, Path], object]


class Died(BaseException):
    """The process is gone: nothing catches this."""


def die() -> None:
    raise Died


def add_friend(administration: VaultAdministration, folder: Path) -> object:
    return administration.add_recipient(Recipient.load(folder / "friend.pub"))


def remove_other(administration: VaultAdministration, folder: Path) -> object:
    return administration.remove_recipient("other")


def revoke(administration: VaultAdministration, folder: Path) -> object:
    return administration.revoke_writer("second")


def add_third(administration: VaultAdministration, folder: Path) -> object:
    number = len([*folder.glob("third*")])
    return administration.add_writer(f"third{number}", folder / f"third{number}")


def make_world(folder: Path) -> tuple[World, list[FaultyStore]]:
    """Two stores, two recipients, two writers, a point and WAL; a friend waits outside."""
    folder.mkdir()
    stores = [FaultyStore(MemoryStore()), FaultyStore(MemoryStore())]
    world = World(folder, stores)
    for name in ("other", "friend"):
        generate_identity(folder / name)
    administration = VaultAdministration(world.stores, world.identity)
    administration.add_recipient(Recipient.load(folder / "other.pub"))
    administration.add_writer("second", folder / "second")
    world.back_up(Tree(FILES))
    VaultWriter.open(stores, WriterCredentials.load(folder / "second")).put_wal(CLUSTER, SEGMENT, b"wal")
    return world, stores


def opens_all(stores: list[Store], identity: Identity) -> None:
    reader = VaultReader.open(stores, identity)
    for point in reader.points():
        assert reader.read_file(point, "files", b"a") == FILES[b"a"]
    assert reader.get_wal(CLUSTER, SEGMENT) == b"wal"


def is_settled(world: World) -> None:
    """Each key is wrapped to whom it should be, by one object, in every store."""
    access = world.reader().access()
    configuration = access.configuration
    named = [f"keys/index-{each[: key_objects.ID_SIZE].hex()}/" for each in configuration.index_keys]
    contents = [
        {info.name for info in store.list() if "index-" not in info.name or info.name.startswith(tuple(named))}
        for store in world.stores
    ]
    assert contents[0] == contents[1]
    held = [name.split("/")[1] for name in contents[0] if name.startswith("keys/")]
    assert len(held) == len(set(held))
    for name in contents[0]:
        if name.startswith("keys/"):
            record = key_objects.open_record(access.stores.read(name), name, configuration)
            wanted = configuration.name_readers if record.purpose == key_objects.INDEX else configuration.recipients
            assert {wrap.recipient for wrap in record.wraps} == {each.fingerprint for each in wanted}


class Rewound:
    """One world, set back to where it began before each try: a new one each time would take most of the time."""

    def __init__(self, folder: Path) -> None:
        self.world, self.stores = make_world(folder)
        self.before = [dict(objects(store)) for store in self.stores]

    def __call__(self) -> tuple[World, list[FaultyStore]]:
        for store, before in zip(self.stores, self.before, strict=True):
            store.heal()
            objects(store).clear()
            objects(store).update(before)
        for state in self.world.folder.glob("*.state"):
            state.unlink()
        return self.world, self.stores


def objects(store: FaultyStore) -> dict[str, bytes]:
    assert isinstance(store.inner, MemoryStore)
    return store.inner.objects


@pytest.mark.parametrize("step", [add_friend, remove_other, revoke, add_third])
def test_a_death_at_any_change_of_a_store_locks_nobody_out_and_again_completes(tmp_path: Path, step: Step) -> None:
    rewound = Rewound(tmp_path / "world")
    world, stores = rewound()
    before = [len(store.calls) for store in stores]
    step(VaultAdministration(world.stores, world.identity), world.folder)
    made = [
        [call for call in store.calls[at:] if call.verb in CHANGES] for store, at in zip(stores, before, strict=True)
    ]
    assert sum(map(len, made)) >= 4
    for which, calls in enumerate(made):
        for at in range(1, len(calls) + 1):
            world, stores = rewound()
            stores[which].act(die, at=at, after=bool(at % 2), verbs=CHANGES)
            with pytest.raises(Died):
                step(VaultAdministration(world.stores, world.identity), world.folder)
            stores[which].heal()
            opens_all(world.stores, world.identity)
            if step is not remove_other:
                opens_all(world.stores, Identity.load(world.folder / "other"))
            world.back_up(Tree(FILES))
            again(step, world)
            is_settled(world)
            opens_all(world.stores, world.identity)
            if step is add_friend:
                opens_all(world.stores, Identity.load(world.folder / "friend"))


def again(step: Step, world: World) -> None:
    """Do the same again; that it was done already is said, and then all must be settled, which the caller checks."""
    try:
        step(VaultAdministration(world.stores, world.identity), world.folder)
    except (UsageError, NotThere):
        is_settled(world)


@pytest.mark.parametrize("step", [add_friend, remove_other, revoke])
def test_nothing_changes_unless_every_store_answers(tmp_path: Path, step: Step) -> None:
    world, stores = make_world(tmp_path / "world")
    before = [dict(objects(store)) for store in stores]
    administration = VaultAdministration(world.stores, world.identity)
    stores[1].fail(times=1000)
    with pytest.raises(Unreachable):
        step(administration, world.folder)
    stores[1].heal()
    assert [dict(objects(store)) for store in stores] == before


def test_old_key_objects_that_a_store_holds_on_to_are_counted(tmp_path: Path) -> None:
    world, stores = make_world(tmp_path / "world")
    stores[0].fail(lambda: RefusedByPolicy("locked"), times=1000, verbs=["delete"])
    stores[1].fail(lambda: NotAllowed("no delete for you"), times=1000, verbs=["delete"])
    change = VaultAdministration(world.stores, world.identity).remove_recipient("other")
    assert (change.left, change.rewrapped) == (8, 4)
    for store in stores:
        store.heal()
    opens_all(world.stores, world.identity)
    assert VaultAdministration(world.stores, world.identity).settle().left == 0
    is_settled(world)


def test_new_key_objects_are_locked_as_long_as_the_old_ones_were(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree(FILES))
    [run] = [name for name in world.memory.objects if name.startswith("keys/run-")]
    until = world.now().replace(year=world.now().year + 1)
    world.memory.lock([run], until)
    generate_identity(tmp_path / "friend")
    change = VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    assert change.left == 1
    runs = [name for name in world.memory.objects if name.startswith("keys/run-")]
    assert {world.memory.locked_until(name) for name in runs} == {until}
    assert len(runs) == 2


def test_a_store_that_lacks_a_key_object_gets_it(tmp_path: Path) -> None:
    world, stores = make_world(tmp_path / "world")
    held = objects(stores[1])
    for name in [name for name in held if name.startswith(("keys/", "config/"))]:
        del held[name]
    VaultAdministration(world.stores, world.identity).settle()
    is_settled(world)
    assert verify_at_rest(world.stores).ok


def test_a_passphrase_comes_and_goes_with_its_recipient(tmp_path: Path) -> None:
    world, _ = make_world(tmp_path / "world")
    phrase = Passphrase.of("a phrase of many words")
    remembered = Remembered(phrase, parameters=Argon2Parameters(64 << 10, 3, 4))
    administration = VaultAdministration(world.stores, world.identity)
    administration.add_passphrase(remembered)
    assert VaultReader.open(world.stores, phrase).verify().ok
    VaultAdministration(world.stores, phrase).remove_recipient("other")
    assert [*world.stores[0].list("keys/passphrase-")] != []
    VaultAdministration(world.stores, world.identity).remove_recipient("passphrase")
    assert [*world.stores[0].list("keys/passphrase-")] == []
    is_settled(world)
