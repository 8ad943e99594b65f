"""Keys, versions and places that are wrong: each its own error and exit code, by the command line too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coffer.commands.main import main
from coffer.errors import IntegrityError, NotThere, NoVault, RefusedByPolicy, UnsafeTarget, UsageError, WrongKey
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.vault.administration import VaultAdministration
from coffer.vault.reader import VaultReader
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from tests.faults.outcomes import refused, shows
from tests.faults.small import harmed, is_needed, read_everything, renamed, small_world
from tests.unit.vault.making import Tree, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return small_world(tmp_path_factory.mktemp("keys"))


def exit_code(*words: object) -> int:
    """Run the command line in this process."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    return int(ended.value.code or 0)


@shows("An object of a newer format", UsageError, stays="said to be a newer format, not damage")
def test_a_vault_of_a_newer_format(world: World) -> None:
    for name, data in list(world.memory.objects.items()):
        if not is_needed(name) or name.startswith(("packs/", "trees/", "index/", "keys/")):
            continue
        with harmed(world.memory) as objects:
            newer = data[:6] + bytes([data[6] + 1]) + data[7:]
            del objects[name]
            objects[renamed(name, newer)] = newer
            with refused("newer Coffer"):
                read_everything(world)


@shows("An identity that is no recipient", WrongKey, stays="nothing opens")
def test_a_wrong_key(world: World, tmp_path: Path) -> None:
    with refused("does not open"):
        VaultReader.open(world.stores, generate_identity(tmp_path / "stranger"))


@shows("A writer's file of another vault", IntegrityError, stays="nothing is written")
def test_a_writer_of_another_vault(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    before = dict(world.memory.objects)
    with refused():
        other.writer(world.stores)
    assert world.memory.objects == before


@shows("A writer that was revoked", RefusedByPolicy, stays="what it had committed stays genuine")
def test_a_revoked_writer(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.back_up(Tree({b"a": b"1"}))
    VaultAdministration(world.stores, world.identity).revoke_writer("writer")
    with refused("may not write"):
        world.back_up(Tree({b"a": b"2"}))
    assert world.restore() == {b"a": b"1"}


@shows(
    "A recipient, identity or writer file that is absent, empty, garbage, of another kind, or a folder",
    UsageError,
    stays="no vault is made, nothing is written",
)
def test_key_files_that_are_none(world: World, tmp_path: Path) -> None:
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "garbage").write_bytes(b"\x00\xff" * 500)
    (tmp_path / "folder").mkdir()
    whole = json.loads((world.folder / "id.pub").read_text())
    for name, change in (("short", whole["public"][:-8]), ("number", 7)):
        (tmp_path / name).write_text(json.dumps({**whole, "public": change}))
    (tmp_path / "unknown").write_text(json.dumps({**whole, "more": 1}))
    bad = [tmp_path / name for name in ("absent", "empty", "garbage", "folder", "short", "number", "unknown")]
    for load, good in ((Recipient.load, "id.pub"), (Identity.load, "id"), (WriterCredentials.load, "writer")):
        load(world.folder / good)
        others = [world.folder / each for each in ("id", "id.pub", "writer") if each != good]
        for path in (*bad, *others):
            with refused(str(path)):
                load(path)


@shows("No vault at that address: an empty store, a folder that is not mounted", NoVault, stays="nothing is made there")
def test_no_vault_there(world: World, tmp_path: Path) -> None:
    for store in (MemoryStore(), FileStore(tmp_path / "not-mounted")):
        with refused():
            world.reader([store])
    assert not (tmp_path / "not-mounted").exists()


@shows(
    "A point, source or WAL file that is asked for and does not exist",
    NotThere,
    stays="said to be absent only if every store says so",
)
def test_what_is_not_there(world: World, tmp_path: Path) -> None:
    reader = world.reader()
    with refused("no point"):
        reader.point("000009-20200101T000000Z-00000000")
    with refused("no source"):
        reader.restore(reader.point("latest"), "other", tmp_path / "out")
    with refused("no WAL"):
        reader.get_wal("7300000000000000001", "0000000100000000000000FF")


@shows(
    "A restore into a folder that is not empty, or into a file", UnsafeTarget, stays="what stands there is untouched"
)
def test_a_target_that_is_not_empty(world: World, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    reader = world.reader()
    for target in ("full", "file"):
        with refused(target):
            reader.restore(reader.point("latest"), "files", tmp_path / target)
    assert (tmp_path / "full/mine").read_bytes() == (tmp_path / "file").read_bytes() == b"mine"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


@shows("Each of these by the command line", stays="exit code by contract, one line on stderr, no traceback")
def test_the_command_line_says_it_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(b"1")
    store = f"file://{tmp_path / 'store'}"
    identity, writer = tmp_path / "id", tmp_path / "writer"
    read = ("--store", store, "--identity", identity)
    assert exit_code("keygen", "--out", identity) == 0
    assert exit_code("verify", "--store", store) == NoVault.exit_code
    init = ("vault", "init", "--store", store, "--writer", writer, "--recipient")
    assert exit_code(*init, identity) == UsageError.exit_code
    assert exit_code(*init, f"{identity}.pub") == 0
    backup = (
        "backup",
        "--store",
        store,
        "--writer",
        writer,
        "--service",
        "app",
        "--source",
        f"files:{tmp_path}/source",
    )
    assert exit_code(*backup) == 0
    assert exit_code("restore", "latest", *read, "--to", tmp_path / "source") == UnsafeTarget.exit_code
    assert exit_code("restore", "nonesuch", *read, "--to", tmp_path / "out") == NotThere.exit_code
    assert exit_code("keygen", "--out", tmp_path / "other") == 0
    other = ("--store", store, "--identity", tmp_path / "other")
    assert exit_code("restore", "latest", *other, "--to", tmp_path / "out") == WrongKey.exit_code
    pack = next(path for path in (tmp_path / "store/packs").rglob("*") if path.is_file())
    pack.write_bytes(b"rot")
    assert exit_code("verify", "--store", store) == IntegrityError.exit_code
    assert exit_code("restore", "latest", *read, "--to", tmp_path / "out") == IntegrityError.exit_code
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("coffer: ")]
    assert len(told) == 7
    assert not any("Traceback" in line for line in told)
