"""`coffer replicate`: one document on stdout, the rest for people, an exit code for what was not everywhere."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

from coffer.commands.main import main
from coffer.vault.capture import Kind
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.making import Tree, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, [MemoryStore.named(secrets.token_hex(8))])
    world.back_up(Tree({b"a": os.urandom(50_000)}), kind=Kind.FULL)
    return world


def replicate(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["replicate", *words])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_two_sources_two_targets_one_document(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    good, copy, other = (f"memory:{secrets.token_hex(8)}" for _ in range(3))
    source = world.memory.url
    assert replicate(capsys, "--from", source, "--to", good)[0] == 0
    pack = next(name for name in world.memory.objects if name.startswith("packs/"))
    world.memory.objects[pack] = bytes(len(world.memory.objects[pack]))
    code, out, err = replicate(capsys, "--from", source, "--from", good, "--to", copy, "--to", other, "--json")
    assert code == 0
    document = json.loads(out)
    assert document["objects"] == 2 * len(world.memory.objects)
    assert len(document["points"]) == 1
    assert pack in document["notes"][0]
    assert f"note: {source}" in err


def test_rot_without_another_source_is_13(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    pack = next(name for name in world.memory.objects if name.startswith("packs/"))
    world.memory.objects[pack] = bytes(len(world.memory.objects[pack]))
    code, out, err = replicate(capsys, "--from", world.memory.url, "--to", "memory:")
    assert (code, out) == (13, "")
    assert pack in err


def test_a_target_left_behind_is_19_and_none_left_17(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    away, copy = f"file://{tmp_path}/file/store", f"memory:{secrets.token_hex(8)}"
    code, _, err = replicate(capsys, "--from", world.memory.url, "--to", away, "--to", copy)
    assert code == 19
    assert f"left behind: {away}" in err
    assert MemoryStore.named(copy.removeprefix("memory:")).objects == world.memory.objects
    assert replicate(capsys, "--from", world.memory.url, "--to", away)[0] == 17
