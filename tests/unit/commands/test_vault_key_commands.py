"""Who opens a vault, by the command line: identity, passphrase, KMS; and what `coffer vault` says and refuses."""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from coffer.commands.main import main
from coffer.keys import kms
from coffer.keys.passphrase import LEAST_MEMORY_KIB, LEAST_PASSES, Argon2Parameters
from coffer.vault import passphrases
from tests.unit.vault.making import read_tree

PHRASE = "a phrase of many words"


class Place:
    """A folder with a vault, sources, and keys; commands run in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.store = ("--store", f"file://{folder}/store")
        (folder / "src").mkdir()
        (folder / "src/file").write_bytes(os.urandom(50_000))
        self.secret("phrase", PHRASE)
        assert self("keygen", "--out", folder / "id")[0] == 0

    def __call__(self, *words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    def secret(self, name: str, text: str) -> Path:
        (self.folder / name).touch(mode=0o600)
        (self.folder / name).write_text(text + "\n")
        return self.folder / name

    def make(self, *more: object) -> str:
        """Make the vault; return its root's fingerprint."""
        code, out, err = self("vault", "init", *self.store, "--writer", self.folder / "writer", "--json", *more)
        assert code == 0, err
        return str(json.loads(out)["root"])

    def backup(self) -> str:
        source = f"files:{self.folder}/src"
        code, out, err = self("backup", *self.store, "--writer", self.folder / "writer", "--source", source)
        assert code == 0, err
        return out.strip()

    def restores(self, to: str, *who: object) -> bool:
        code, _, err = self("restore", "latest", *self.store, *who, "--to", self.folder / to)
        assert code == 0, err
        return read_tree(self.folder / to) == read_tree(self.folder / "src")


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Place:
    quick = functools.partial(passphrases.Remembered, parameters=Argon2Parameters(LEAST_MEMORY_KIB, LEAST_PASSES))
    monkeypatch.setattr(passphrases, "Remembered", quick)
    return Place(tmp_path, capsys)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A KMS on 127.0.0.1; returns the ARN of its key."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    kms._client.cache_clear()
    try:
        yield boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"]
    finally:
        kms._client.cache_clear()
        server.stop()


def test_a_vault_that_opens_three_ways(place: Place, cloud: str) -> None:
    folder = place.folder
    root = place.make("--recipient", folder / "id.pub", "--kms", cloud, "--passphrase-file", folder / "phrase")
    point = place.backup()
    ways = (("--identity", folder / "id"), ("--kms", cloud), ("--passphrase-file", folder / "phrase"))
    for number, who in enumerate(ways):
        assert place.restores(f"out{number}", *who, "--root", root)
        code, out, _ = place("points", *place.store, *who, "--root", root)
        assert (code, out.split()[0]) == (0, point)
    code, out, _ = place("verify", *place.store, *ways[2], "--root", root, "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    code, out, _ = place("vault", "recipients", "list", *place.store, *ways[1], "--json")
    assert [(each["name"], each["kind"]) for each in json.loads(out)] == [
        ("id", "x-wing"),
        (cloud.rpartition("/")[2], "kms"),
        ("passphrase", "x-wing"),
    ]


def test_an_unpinned_root_is_said(place: Place) -> None:
    root = place.make("--passphrase-file", place.folder / "phrase")
    place.backup()
    who = ("--passphrase-file", place.folder / "phrase")
    code, _, err = place("restore", "latest", *place.store, *who, "--to", place.folder / "out")
    assert code == 0
    assert root in err
    code, _, err = place("restore", "latest", *place.store, *who, "--root", "0" * 64, "--to", place.folder / "out2")
    assert code == 13
    assert "pinned" in err


def test_recipients_come_and_go(place: Place, cloud: str) -> None:
    folder = place.folder
    place.make("--recipient", folder / "id.pub")
    place.backup()
    place("keygen", "--out", folder / "friend")
    access = (*place.store, "--identity", folder / "id")
    adding = ("vault", "recipients", "add", *access)
    assert place(*adding, folder / "friend.pub")[0] == 0
    assert place(*adding, "--new-kms", cloud, "--name", "cloud")[0] == 0
    assert place(*adding, "--new-passphrase-file", folder / "phrase")[0] == 0
    assert len(place("vault", "recipients", "list", *access)[1].splitlines()) == 4
    assert place.restores("by-phrase", "--passphrase-file", folder / "phrase")
    for gone in ("cloud", "passphrase", "friend"):
        code, _, err = place("vault", "recipients", "remove", gone, *access)
        assert code == 0
        assert "keys wrapped anew" in err
    place.backup()
    for who in (("--identity", folder / "friend"), ("--passphrase-file", folder / "phrase"), ("--kms", cloud)):
        code, _, err = place("restore", "latest", *place.store, *who, "--to", folder / "never")
        assert code == 12, err
        assert len(err.splitlines()) == 1
    assert place.restores("out", "--identity", folder / "id")


def test_each_refusal_has_its_code_and_one_line(place: Place) -> None:
    folder = place.folder
    place.make("--recipient", folder / "id.pub")
    access = (*place.store, "--identity", folder / "id")
    short, wrong = place.secret("short", "hunter2"), place.secret("wrong", "a phrase of other words")
    restore = ("restore", "latest", *place.store, "--to", folder / "out")
    cases: list[tuple[int, tuple[object, ...]]] = [
        (2, restore),
        (2, (*restore, "--identity", folder / "id", "--kms", "arn")),
        (2, (*restore, "--kms", "alias/mine")),
        (2, (*restore, "--passphrase-file", folder / "none")),
        (2, (*restore, "--ask-passphrase")),
        (12, (*restore, "--passphrase-file", wrong)),
        (2, (*restore, "--identity", folder / "writer")),
        (2, ("vault", "init", "--store", f"file://{folder}/new", "--writer", folder / "new")),
        (
            2,
            ("vault", "init", "--store", f"file://{folder}/n", "--writer", folder / "n", "--passphrase-file", short),
        ),
        (2, ("vault", "recipients", "add", *access)),
        (2, ("vault", "recipients", "add", folder / "id.pub", *access)),
        (2, ("vault", "recipients", "add", folder / "id", *access)),
        (2, ("vault", "recipients", "add", "--new-passphrase-file", short, *access)),
        (16, ("vault", "recipients", "remove", "nobody", *access)),
        (14, ("vault", "recipients", "remove", "id", *access)),
        (2, ("vault", "writers", "add", "writer", "--out", folder / "w2", *access)),
        (2, ("vault", "writers", "add", "second", "--out", folder / "writer", *access)),
        (16, ("vault", "writers", "revoke", "nobody", *access)),
        (2, ("vault", "retention", "set", "--policy", folder / "none", *access)),
        (2, ("vault", "pruner", "--out", folder / "writer", *access)),
    ]
    before = sorted((folder / "store").rglob("*"))
    for code, words in cases:
        answer = place(*words)
        assert answer[0] == code, (words, answer)
        assert answer[1] == ""
        assert [line.startswith("coffer: ") for line in answer[2].splitlines()] == [True], answer[2]
        assert "hunter2" not in answer[2]
        assert "other words" not in answer[2]
    assert sorted((folder / "store").rglob("*")) == before
    assert not (folder / "out").exists()


def test_the_root_signs_how_long_points_are_kept(place: Place) -> None:
    place.make("--recipient", place.folder / "id.pub")
    access = (*place.store, "--identity", place.folder / "id")
    (place.folder / "policy.toml").write_text("keep-last = 3\nkeep-days = 30\ngrace-hours = 12.5\n")
    assert place("vault", "retention", "set", "--policy", place.folder / "policy.toml", *access)[0] == 0
    shown = tomllib.loads(place("vault", "retention", "show", *access)[1])
    assert (shown["keep-last"], shown["keep-days"], shown["grace-hours"]) == (3, 30, 12.5)
    (place.folder / "again.toml").write_text(place("vault", "retention", "show", *access)[1])
    code, _, err = place("vault", "retention", "set", "--policy", place.folder / "again.toml", *access)
    assert (code, "configuration 2," in err) == (0, True)  # the same policy again is no change
    assert json.loads(place("vault", "retention", "show", *access, "--json")[1]) == shown


def test_settling_a_settled_vault_changes_nothing(place: Place) -> None:
    place.make("--recipient", place.folder / "id.pub")
    access = (*place.store, "--identity", place.folder / "id")
    place("vault", "settle", *access)
    before = sorted((place.folder / "store").rglob("*"))
    code, _, err = place("vault", "settle", *access)
    assert (code, err) == (0, "configuration 1, 0 keys wrapped anew\n")
    assert sorted((place.folder / "store").rglob("*")) == before


def test_a_passphrase_is_asked_for_without_echo(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    place.make("--passphrase-file", place.folder / "phrase")
    place.backup()
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda text, **how: asked.append(how) or PHRASE)
    assert place.restores("out", "--ask-passphrase")
    assert asked == [{"hide_input": True, "confirmation_prompt": False, "err": True}]
