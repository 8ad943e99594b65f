"""A kit is what was written or it is refused; it holds no secret; references are answered from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given as examples
from hypothesis import settings, strategies

from coffer import environments
from coffer.environments.references import given, resolve
from coffer.errors import CofferError, IntegrityError, NotThere, UsageError
from coffer.keys import WriterCredentials
from coffer.recovery import kit as kits

WRITER = WriterCredentials.generate("ab" * 16, "cd" * 32, 1, "production")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kit")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    (folder / "vault.json").write_text(json.dumps({"stores": ["file:///v"], "writer_file": "w"}))
    (folder / "host.json").write_text(json.dumps({"docker": "unix:///d", "network": "n", "directory": "/srv/app"}))
    (folder / "registry.json").write_text(json.dumps({"address": "r:5000", "username": "u", "password": "hunter2"}))
    (folder / "url").write_text("postgresql://app:hunter2@/app")
    (folder / "production.toml").write_text(f"""
[service]
name = "app"
image = "r:5000/app"
port = 3000
secrets = {{ DATABASE_URL = "file:{folder}/url" }}
[target]
kind = "docker-host"
hosts = ["file:{folder}/host.json"]
[release]
registry = "file:{folder}/registry.json"
[recovery]
vault = "file:{folder}/vault.json"
sources = ["files:/srv/app/uploads"]
""")
    kit = kits.make_kit(environments.load(str(folder / "production.toml")), WRITER)
    return kits.render(kit, WRITER, kits.format_document())


def test_it_reads_back_and_holds_no_secret(folder: Path, text: str) -> None:
    path = folder / "kit.txt"
    path.write_text(text)
    kit = kits.load_kit(path)
    assert (kit.vault, kit.root, kit.stores) == (WRITER.vault, WRITER.root, ["file:///v"])
    assert kit.secrets == [f"file:{folder}/url"]
    assert kit.hosts[f"file:{folder}/registry.json"] == {"address": "r:5000", "username": "u"}
    assert kit.load_environment(folder).service.name == "app"
    assert "hunter2" not in text
    for said in ("coffer recover --kit", "coffer drill --kit", "before-RECOVERY", "AES-256-GCM", WRITER.root):
        assert said in text


@settings(max_examples=60, deadline=None)
@examples(data=strategies.data())
def test_whoever_changes_a_letter_is_noticed(folder: Path, text: str, data: strategies.DataObject) -> None:
    at = data.draw(strategies.integers(0, len(text) - 1))
    letter = data.draw(strategies.sampled_from("ax0\n é{"))
    changed = text[:at] + letter + text[at + 1 :]
    path = folder / "changed.txt"
    path.write_text(changed)
    if changed == text:
        kits.load_kit(path)
    else:
        with pytest.raises(CofferError):
            kits.load_kit(path)


def test_signed_by_another_than_it_says(folder: Path, text: str) -> None:
    path = folder / "kit.txt"
    path.write_text(text)
    other = WriterCredentials.generate(WRITER.vault, WRITER.root, 1, "other")
    forged = kits.render(kits.load_kit(path), other, "")
    path.write_text(forged)
    with pytest.raises(IntegrityError):
        kits.load_kit(path)
    for content in (b"", b"\xff\xfe", text[:-100].encode(), b"hello\n"):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            kits.load_kit(path)


def test_references_are_answered_while_values_are_given_and_not_longer() -> None:
    with given({"block:database/x": {"url": "u"}, "file:/nowhere": "plain"}):
        assert resolve("block:database/x#url") == "u"
        assert resolve("file:/nowhere") == "plain"
        with pytest.raises(NotThere):
            resolve("block:database/x#other")
    with pytest.raises(NotThere):
        resolve("file:/nowhere")
