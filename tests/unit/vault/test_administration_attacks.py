"""A thief with the store, a writer gone bad, two administrators at once: what they write is refused or passed over."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import IntegrityError, RefusedByPolicy, UsageError, WrongKey
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity, signing
from coffer.keys.passphrase import Argon2Parameters, Passphrase
from coffer.vault import configuration as configurations
from coffer.vault import configuration_choice, frames, key_objects, names, passphrases
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.configuration import Configuration, RecipientRecord
from coffer.vault.configuration_records import open_object
from coffer.vault.frames import ObjectKind
from coffer.vault.passphrases import Remembered
from coffer.vault.reader import VaultReader
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.store_set import StoreSet
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(50_000)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.back_up(Tree(FILES), kind=Kind.FULL)
    return world


def configuration_of(world: World) -> Configuration:
    return configurations.load(StoreSet(world.stores), root=world.credentials.root)


def records_of(world: World, purpose: str) -> list[tuple[str, key_objects.KeyRecord]]:
    configuration = configuration_of(world)
    return [
        (name, key_objects.open_record(data, name, configuration))
        for name, data in world.memory.objects.items()
        if name.startswith(f"keys/{purpose}-")
    ]


def forge(world: World, record: object, place: str, signer: bytes) -> str:
    """Put a record of a key into the store, signed by whoever."""
    object_id = names.new_id()
    vault = bytes.fromhex(world.credentials.vault)
    data = frames.sign(ObjectKind.KEY, vault, object_id, signer, frames.encode(record))
    name = names.name_of(place, object_id, data)
    world.memory.objects[name] = data
    return name


def forged_configuration(world: World, thief: Identity, signer: bytes, number: int = 2) -> None:
    """Publish a configuration that has the thief as a recipient."""
    genuine = configuration_of(world)
    mine = RecipientRecord("thief", thief.recipient.public)
    new = msgspec.structs.replace(genuine, number=number, recipients=[*genuine.recipients, mine])
    for each in (new, msgspec.structs.replace(new, root=signing.public_key(signer))):
        name, data = configurations.publish(each, signer)
        world.memory.objects[name] = data


def wrapped_to(world: World, thief: Identity) -> bool:
    return any(
        wrap.recipient.hex() == thief.fingerprint
        for purpose in ("run", "wal", "index", "root")
        for _, record in records_of(world, purpose)
        for wrap in record.wraps
    )


def test_a_thief_who_makes_himself_a_recipient_is_passed_over_and_said(world: World) -> None:
    """He signs configurations with a key of his own; nobody who knows the root wraps anything to him."""
    thief = Identity.generate()
    forged_configuration(world, thief, signing.generate_secret())
    writer = world.writer()
    assert any("config/00000002" in note and "no configuration" in note for note in writer.notes)
    world.back_up(Tree({**FILES, b"b": b"2"}))
    world.writer().put_wal(CLUSTER, SEGMENT, b"wal")
    assert not wrapped_to(world, thief)
    reader = world.reader()
    assert any("config/00000002" in note for note in reader.notes)
    assert reader.read_file(reader.point("latest"), "files", b"b") == b"2"
    with pytest.raises(WrongKey):
        VaultReader.open(world.stores, thief, root=world.credentials.root)
    change = VaultAdministration(world.stores, world.identity).settle()
    assert change.number == 1
    assert not wrapped_to(world, thief)


def test_a_writer_gone_bad_cannot_sign_for_the_root(world: World) -> None:
    thief, bad = Identity.generate(), world.credentials.signing_key
    forged_configuration(world, thief, bad)
    assert configuration_of(world).number == 1
    vault, key = configuration_of(world).vault, os.urandom(32)
    for purpose, key_id in (("index", key_objects.key_id(key)), ("root", vault)):
        wrapped = key_objects.wrap(vault, purpose, key_id, key, configuration_of(world).recipients, bad)
        with pytest.raises(IntegrityError, match="only the root may"):
            key_objects.open_record(wrapped[1], wrapped[0], configuration_of(world))
    _, (name, data) = passphrases.keep(
        vault, Remembered(Passphrase.of("known to the writer"), parameters=Argon2Parameters(64 << 10, 3, 4)), bad
    )
    world.memory.objects[name] = data
    with pytest.raises(WrongKey):
        VaultReader.open(world.stores, Passphrase.of("known to the writer"), root=world.credentials.root)


def test_who_knows_no_root_does_not_choose_between_two(world: World) -> None:
    thief = Identity.generate()
    forged_configuration(world, thief, signing.generate_secret())
    stranger = Identity.of_seed(world.identity.seed)  # the identity without the pins of FILE.pub
    with pytest.raises(IntegrityError, match="another signer"):  # the one that claims to be the root's
        VaultReader.open(world.stores, stranger)
    for name in [name for name in world.memory.objects if name.startswith("config/00000002/")]:
        if configuration_of(world).root in world.memory.objects[name]:
            del world.memory.objects[name]
    with pytest.raises(IntegrityError, match="Two root keys"):
        VaultReader.open(world.stores, stranger)
    assert VaultReader.open(world.stores, stranger, root=world.credentials.root).points()


@pytest.mark.parametrize("number", [1, 3])
def test_an_older_configuration_under_another_number_is_no_configuration(world: World, number: int) -> None:
    """The first one, genuine, is put where the third would be; or the first is put again under a name of its own."""
    VaultAdministration(world.stores, world.identity).set_retention(RetentionPolicy(keep_last=7))
    [old] = [name for name in world.memory.objects if name.startswith("config/00000001/")]
    data = world.memory.objects[old]
    world.memory.objects[names.name_of(f"config/{number:08d}", names.new_id(), data)] = data
    assert configuration_of(world).number == 2


def test_a_configuration_that_is_hidden_is_missed(world: World, tmp_path: Path) -> None:
    """Someone removes the configuration without the old recipient: who has seen it does not go back."""
    generate_identity(tmp_path / "friend")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    VaultAdministration(world.stores, world.identity).remove_recipient("friend")
    world.writer().points()
    world.reader().points()
    for name in [name for name in world.memory.objects if name.startswith("config/00000003/")]:
        del world.memory.objects[name]
    for attempt in (world.writer, world.reader, lambda: VaultAdministration(world.stores, world.identity)):
        with pytest.raises(IntegrityError, match="rolled back"):
            attempt()  # type: ignore[operator]


def test_two_administrators_at_once(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = VaultAdministration(world.stores, world.identity)
    other = VaultAdministration(world.stores, world.identity)
    one.set_retention(RetentionPolicy(keep_last=7))
    with pytest.raises(RefusedByPolicy, match="Someone else"):
        other.add_writer("second", tmp_path / "second")
    assert WriterCredentials.load(tmp_path / "second").configuration == 2  # a file, admitted nowhere

    monkeypatch.setattr(configurations, "reload", lambda stores, before: before)  # they see each other too late
    other.add_writer("third", tmp_path / "third")
    monkeypatch.undo()
    with pytest.raises(IntegrityError, match="Two configurations"):
        world.reader()
    with pytest.raises(IntegrityError, match="settle --believe"):
        VaultAdministration(world.stores, world.identity)
    [believed] = [
        name[-64:]
        for name in world.memory.objects
        if name.startswith("config/00000002/") and b"third" in world.memory.objects[name]
    ]
    VaultAdministration(world.stores, world.identity, believe=believed[:8]).settle_two()
    assert configuration_of(world).number == 3
    assert [each.name for each in configuration_of(world).writers] == ["writer", "third"]
    assert world.restore() == FILES


def test_wraps_do_not_move_between_keys_or_recipients(world: World, tmp_path: Path) -> None:
    """A writer gone bad signs key objects with wraps that it took elsewhere: none opens."""
    friend = generate_identity(tmp_path / "friend")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    world.back_up(Tree({b"b": b"2"}), kind=Kind.FULL)
    bad = world.credentials.signing_key
    (_, one), (_, other) = records_of(world, "run")
    mine, friends = (
        next(wrap for wrap in one.wraps if wrap.recipient.hex() == who.fingerprint) for who in (world.identity, friend)
    )
    moved = [
        msgspec.structs.replace(other, wraps=one.wraps),
        msgspec.structs.replace(one, wraps=[key_objects.Wrap(mine.recipient, friends.ciphertext, friends.sealed)]),
        msgspec.structs.replace(one, purpose="wal"),
        msgspec.structs.replace(one, wraps=[msgspec.structs.replace(mine, sealed=mine.sealed[:-1])]),
        msgspec.structs.replace(one, wraps=[msgspec.structs.replace(mine, ciphertext=mine.ciphertext[:-1])]),
    ]
    for record in moved:
        name = forge(world, record, key_objects.folder(record.purpose, record.id), bad)
        opened = key_objects.open_record(world.memory.objects[name], name, configuration_of(world))
        with pytest.raises(IntegrityError, match="does not open"):
            key_objects.open_wrap(opened, world.identity)
    assert world.restore(point=world.reader().points()[0].name) == FILES  # the genuine ones are still found


def test_no_key_takes_the_place_of_another(world: World) -> None:
    """A writer gone bad wraps a key of its own choice for the run of someone else: the id commits to the key."""
    bad, configuration = world.credentials.signing_key, configuration_of(world)
    [(_, record)] = records_of(world, "run")
    name, data = key_objects.wrap(configuration.vault, "run", record.id, os.urandom(32), configuration.recipients, bad)
    with pytest.raises(IntegrityError, match="commits to"):
        key_objects.open_record(data, name, configuration)
    world.memory.objects[name] = data
    assert world.restore() == FILES
    change = VaultAdministration(world.stores, world.identity).settle()
    assert any(name in problem for problem in change.problems)
    assert world.restore("again") == FILES


def test_one_key_object_does_not_give_two_recipients_two_keys(world: World, tmp_path: Path) -> None:
    """A writer gone bad wraps one key to A and another to B under one commitment: B refuses it."""
    friend = generate_identity(tmp_path / "friend")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    configuration, bad, key = configuration_of(world), world.credentials.signing_key, os.urandom(32)
    key_id = key_objects.key_id(key)
    honest, lying = (
        key_objects.open_record(data, name, configuration) if honest else msgspec.msgpack.decode(data[88:])
        for honest, (name, data) in (
            (True, key_objects.wrap(configuration.vault, "run", key_id, key, configuration.recipients, bad)),
            (
                False,
                key_objects.wrap(configuration.vault, "run", key_id, os.urandom(32), configuration.recipients, bad),
            ),
        )
    )
    stolen = [key_objects.Wrap(**wrap) for wrap in lying["wraps"] if wrap["recipient"].hex() == friend.fingerprint] + [
        wrap for wrap in honest.wraps if wrap.recipient.hex() == world.identity.fingerprint
    ]
    name = forge(world, msgspec.structs.replace(honest, wraps=stolen), key_objects.folder("run", key_id), bad)
    record = key_objects.open_record(world.memory.objects[name], name, configuration)
    assert key_objects.open_wrap(record, world.identity) == key
    with pytest.raises(IntegrityError, match="committed to"):
        key_objects.open_wrap(record, friend)


def test_settling_does_not_trust_wraps_that_a_writer_made(world: World, tmp_path: Path) -> None:
    """A writer gone bad gives the friend rubbish and the administrator the right wrap: settling wraps anew."""
    generate_identity(tmp_path / "friend")
    VaultAdministration(world.stores, world.identity).add_recipient(Recipient.load(tmp_path / "friend.pub"))
    [(genuine, record)] = records_of(world, "run")
    rubbish = [
        wrap
        if wrap.recipient.hex() == world.identity.fingerprint
        else msgspec.structs.replace(wrap, sealed=os.urandom(48))
        for wrap in record.wraps
    ]
    place = key_objects.folder("run", record.id)
    forge(world, msgspec.structs.replace(record, wraps=rubbish), place, world.credentials.signing_key)
    del world.memory.objects[genuine]
    friend = Identity.load(tmp_path / "friend")
    with pytest.raises(IntegrityError):
        VaultReader.open(world.stores, friend).verify().raise_for_problems()
    assert VaultAdministration(world.stores, world.identity).settle().rewrapped == 1
    assert VaultReader.open(world.stores, friend).verify().ok


def test_a_root_key_object_with_another_root_is_refused(world: World) -> None:
    configuration, other = configuration_of(world), signing.generate_secret()
    administration = VaultAdministration(world.stores, world.identity)
    for name in [name for name in world.memory.objects if name.startswith("keys/root-")]:
        del world.memory.objects[name]
    vault = configuration.vault
    name, data = key_objects.wrap(vault, "root", vault, other, configuration.recipients, administration._root.secret)
    world.memory.objects[name] = data
    with pytest.raises(IntegrityError, match="not its root"):
        VaultAdministration(world.stores, world.identity)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1500), bit=st.integers(0, 7), cut=st.integers(0, 1600))
def test_key_objects_and_configurations_that_were_changed_are_refused_in_words(at: int, bit: int, cut: int) -> None:
    configuration, samples = SAMPLES()
    for name, data in samples:
        harmed = bytearray(data[:cut] if cut < len(data) else data)
        if at < len(harmed):
            harmed[at] ^= 1 << bit
        if bytes(harmed) == data:
            continue
        place = names.ObjectName.parse(name)
        moved = names.name_of(place.prefix, place.id, bytes(harmed))
        with pytest.raises((IntegrityError, UsageError)):
            open_any(bytes(harmed), moved, configuration)


def open_any(data: bytes, name: str, configuration: Configuration) -> object:
    if name.startswith("config/"):
        return configuration_choice.believed(open_object(data, name), {configuration.fingerprint})
    if name.startswith("keys/passphrase-"):
        return key_objects.open_signed(data, name, configuration, passphrases.PassphraseRecord)
    return key_objects.open_record(data, name, configuration)


class _Samples:
    """One small vault for all examples."""

    made: tuple[Configuration, list[tuple[str, bytes]]] | None = None

    def __call__(self) -> tuple[Configuration, list[tuple[str, bytes]]]:
        if self.made is None:
            with tempfile.TemporaryDirectory() as folder:
                world = World(Path(folder))
                phrase = Remembered(
                    Passphrase.of("a phrase of many words"), parameters=Argon2Parameters(64 << 10, 3, 4)
                )
                VaultAdministration(world.stores, world.identity).add_passphrase(phrase)
                self.made = configuration_of(world), list(world.memory.objects.items())
        return self.made


SAMPLES = _Samples()


def test_a_passphrase_record_that_eats_all_memory_is_refused(world: World) -> None:
    administration = VaultAdministration(world.stores, world.identity)
    phrase = Passphrase.of("a phrase of many words")
    administration.add_passphrase(Remembered(phrase, parameters=Argon2Parameters(64 << 10, 3, 4)))
    [name] = [name for name in world.memory.objects if name.startswith("keys/passphrase-")]
    data = world.memory.objects.pop(name)
    record = msgspec.msgpack.decode(data[frames.SIGNED_SIZE :], type=passphrases.PassphraseRecord)
    trap = msgspec.structs.replace(record, memory_kib=1 << 31)
    forge(world, trap, name.rpartition("/")[0], administration._root.secret)
    with pytest.raises(IntegrityError, match="not sound"):
        VaultReader.open(world.stores, phrase, root=world.credentials.root)


def test_a_wrong_passphrase_is_a_wrong_key(world: World) -> None:
    with pytest.raises(WrongKey, match="no recipient of it has one"):
        VaultReader.open(world.stores, Passphrase.of("whatever it may be"), root=world.credentials.root)
    phrase = Remembered(Passphrase.of("a phrase of many words"), parameters=Argon2Parameters(64 << 10, 3, 4))
    VaultAdministration(world.stores, world.identity).add_passphrase(phrase)
    with pytest.raises(WrongKey, match="passphrase does not open"):
        VaultReader.open(world.stores, Passphrase.of("a phrase of other words"), root=world.credentials.root)
    with pytest.raises(UsageError, match="name exists"):
        VaultAdministration(world.stores, world.identity).add_passphrase(phrase)
    weak = Remembered(phrase.passphrase, "weak", Argon2Parameters(1024, 1, 1))
    with pytest.raises(UsageError, match="sound"):
        VaultAdministration(world.stores, world.identity).add_passphrase(weak)


def test_rubbish_among_the_points_keeps_nobody_from_those_that_are_whole(world: World) -> None:
    """Someone with a writer's store credentials, and no key, puts manifests: they are said, and stop no restore."""
    [genuine] = [name for name in world.memory.objects if name.startswith("points/app/")]
    point = genuine.split("/")[2]
    data = world.memory.objects[genuine]
    for place in (f"points/app/000999{point[6:]}", f"points/app/{point}"):
        rubbish = data[:-1] + bytes([data[-1] ^ 1])
        world.memory.objects[names.name_of(place, names.new_id(), rubbish)] = rubbish
    newer_format = data[:6] + b"\x02" + data[7:]
    [run] = [name for name in world.memory.objects if name.startswith("keys/run-")]
    for place in (f"points/app/{point}", run.rpartition("/")[0]):
        world.memory.objects[names.name_of(place, bytes(16), newer_format)] = newer_format
    for name in ("latest", point):
        assert world.restore(f"out-{name}", point=name) == FILES
    reader = world.reader()
    assert reader.point("latest").name == point
    assert sum("passed over" in note for note in reader.notes) >= 1
    with pytest.raises((IntegrityError, UsageError)):  # but whoever lists them all is told loudly
        reader.points()
    assert not reader.verify().ok


def test_a_newest_point_that_is_damaged_is_not_replaced_in_silence(world: World) -> None:
    older = world.reader().point("latest").name
    world.back_up(Tree({b"newer": b"1"}))
    [newest] = [name for name in world.memory.objects if name.startswith("points/app/000002")]
    world.memory.objects[newest] = world.memory.objects[newest][:-1]
    with pytest.raises(IntegrityError, match=f"whole is {older}"):
        world.restore("out")
    assert world.reader().access().catalogue.find(older).point.name == older
