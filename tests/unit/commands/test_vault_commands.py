"""The command line's promises: what stands on stdout, what the exit code says, that errors take one line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from coffer.commands.main import main
from tests.unit.vault.making import read_tree


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict:  # type: ignore[type-arg]
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> Answer:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Answer(int(ended.value.code or 0), captured.out, captured.err)

    return run


@dataclass
class Place:
    folder: Path
    run: Run

    @property
    def store(self) -> str:
        return f"file://{self.folder}/store"

    def backup(self, *more: object) -> Answer:
        words = (
            "backup",
            "--store",
            self.store,
            "--writer",
            self.folder / "writer",
            "--source",
            f"files:{self.folder}/src",
        )
        return self.run(*words, *more)

    def restore(self, to: str, *more: object, name: str = "latest") -> Answer:
        words = ("restore", name, "--store", self.store, "--identity", self.folder / "id", "--to", self.folder / to)
        return self.run(*words, *more)


@pytest.fixture
def place(tmp_path: Path, run: Run) -> Place:
    place = Place(tmp_path, run)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_bytes(os.urandom(50_000))
    assert run("keygen", "--out", tmp_path / "id").code == 0
    made = run(
        *("vault", "init", "--store", place.store, "--recipient", tmp_path / "id.pub"),
        *("--writer", tmp_path / "writer", "--pruner", tmp_path / "pruner"),
    )
    assert made.code == 0, made.err
    return place


def test_the_whole_walk(place: Place) -> None:
    first = place.backup("--json")
    assert (first.code, first.document["kind"]) == (0, "full")
    (place.folder / "src/more").write_text("more")
    second = place.backup("--json")
    assert (second.code, second.document["kind"], second.document["parent"]) == (
        0,
        "incremental",
        first.document["name"],
    )
    points = place.run("points", "--store", place.store, "--writer", place.folder / "writer", "--json")
    assert [point["name"] for point in json.loads(points.out)] == [first.document["name"], second.document["name"]]
    for words in ((), ("--identity", place.folder / "id")):
        verified = place.run("verify", "--store", place.store, "--json", *words)
        assert (verified.code, verified.document["ok"], len(verified.document["points"])) == (0, True, 2)
    restored = place.restore("out", "--json")
    assert (restored.code, restored.document["point"]) == (0, second.document["name"])
    assert read_tree(place.folder / "out") == read_tree(place.folder / "src")
    copied = place.run("replicate", "--from", place.store, "--to", f"file://{place.folder}/copy", "--json")
    assert (copied.code, len(copied.document["points"])) == (0, 2)
    assert place.run("verify", "--store", f"file://{place.folder}/copy").code == 0


def test_stdout_holds_the_result_and_nothing_else(place: Place) -> None:
    answer = place.backup()
    assert answer.out.strip() in place.restore("out").out
    assert len(answer.out.splitlines()) == 1
    assert "full" in answer.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nonsense",), 2),
        (("backup",), 2),
        (("keygen", "--out", "{folder}/id"), 2),
        (("points", "--store", "file://{folder}/none", "--writer", "{folder}/writer"), 10),
        (("points", "--store", "ftp://x", "--writer", "{folder}/writer"), 2),
        (("points", "--store", "file://{folder}/store", "--writer", "{folder}/id"), 2),
        (
            (
                "restore",
                "nope",
                "--store",
                "file://{folder}/store",
                "--identity",
                "{folder}/id",
                "--to",
                "{folder}/out",
            ),
            16,
        ),
        (
            (
                "restore",
                "latest",
                "--store",
                "file://{folder}/store",
                "--identity",
                "{folder}/id",
                "--to",
                "{folder}/src",
            ),
            15,
        ),
        (
            (
                *("restore", "latest", "--store", "file://{folder}/store", "--identity", "{folder}/id"),
                *("--to", "{folder}/out", "--source", "postgres"),
            ),
            2,
        ),
        (
            ("backup", "--store", "file://{folder}/store", "--writer", "{folder}/writer", "--source", "files:/nowhere"),
            16,
        ),
        (("backup", "--store", "file://{folder}/store", "--writer", "{folder}/writer", "--source", "what:ever"), 2),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line(place: Place, words: tuple[str, ...], code: int) -> None:
    place.backup()
    before = sorted((place.folder / "store").rglob("*"))
    answer = place.run(*(word.format(folder=place.folder) for word in words))
    assert answer.code == code
    assert answer.out == ""
    assert [line.startswith("coffer: ") for line in answer.err.splitlines()] == [True]
    assert "Traceback" not in answer.err
    assert sorted((place.folder / "store").rglob("*")) == before


def test_an_error_is_a_document_where_one_was_asked_for(place: Place) -> None:
    answer = place.restore("out", "--json", name="nope")
    assert answer.code == answer.document["error"]["exit_code"] == 16
    assert answer.document["error"]["category"] == "not-there"


def test_a_wrong_key(place: Place) -> None:
    place.backup()
    place.run("keygen", "--out", place.folder / "stranger")
    answer = place.run(
        *("restore", "latest", "--store", place.store, "--identity", place.folder / "stranger"),
        *("--to", place.folder / "out"),
    )
    assert answer.code == 12
    assert not (place.folder / "out").exists()


def test_a_flipped_byte_is_named_with_exit_code_13(place: Place) -> None:
    place.backup()
    pack = next(path for path in (place.folder / "store/packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    for words in ((), ("--identity", place.folder / "id")):
        answer = place.run("verify", "--store", place.store, *words)
        assert answer.code == 13
        assert pack.name in answer.err
    answer = place.restore("out")
    assert answer.code == 13
    assert pack.name in answer.err


def test_a_point_that_is_not_in_every_store_is_printed_and_said_with_19(place: Place) -> None:
    second = place.folder / "second"
    place.run("replicate", "--from", place.store, "--to", f"file://{second}")
    second.rename(place.folder / "unmounted")
    answer = place.backup("--store", f"file://{second}")
    assert answer.code == 19
    assert answer.out.strip() in answer.err
    assert place.restore("out").out == answer.out
    (place.folder / "unmounted").rename(second)
    assert place.backup("--store", f"file://{second}").code == 0
    assert (
        place.run("verify", "--store", place.store, "--store", f"file://{second}").code == 13
    )  # the first is not there
    place.run("replicate", "--from", place.store, "--to", f"file://{second}")
    assert place.run("verify", "--store", place.store, "--store", f"file://{second}").code == 0


def test_a_password_on_the_command_line_is_refused_and_not_repeated(place: Place) -> None:
    for conninfo in ("host=db password=hunter2", "postgresql://u:hunter2@db/x"):
        answer = place.run(
            *("backup", "--store", place.store, "--writer", place.folder / "writer", "--source", f"postgres:{conninfo}")
        )
        assert answer.code == 2
        assert "hunter2" not in answer.err + answer.out


def test_prune_says_what_it_would_do_marks_and_then_does_it(place: Place) -> None:
    first, second = place.backup("--kind", "full"), place.backup("--kind", "full")
    (place.folder / "policy.toml").write_text("keep-last = 1\nrequire-proof = 'none'\n")
    store = ("--store", place.store)
    words = ("prune", *store, "--pruner", place.folder / "pruner", "--policy", place.folder / "policy.toml")
    listing = ("points", *store, "--writer", place.folder / "writer")
    planned = place.run(*words, "--dry-run")
    assert planned.code == 0
    assert f"remove  default  {first.out.strip()}" in planned.out
    assert f"keep    default  {second.out.strip()}" in planned.out
    assert "would mark" in planned.err
    marked = place.run(*words, "--json")
    assert (marked.code, marked.document["swept"]["objects"]) == (0, 0)
    assert marked.document["marked"] == len(marked.document["mark"]) > 0
    assert place.run(*listing).out.count(first.out.strip()) == 1
    assert place.run(*words, "--json").document["waiting"]
    _age(place.folder / "store", 2)
    swept = place.run(*words)
    assert swept.code == 0
    assert "removed 1 points" in swept.err
    assert first.out.strip() not in place.run(*listing).out
    assert place.restore("out").code == 0


def test_prune_is_refused_while_nothing_was_proven_and_says_what_to_do(place: Place) -> None:
    place.backup("--kind", "full")
    place.backup("--kind", "full")
    (place.folder / "policy.toml").write_text("keep-last = 1\n")
    words = ("prune", "--store", place.store, "--pruner", place.folder / "pruner")
    refused = place.run(*words, "--policy", place.folder / "policy.toml")
    assert refused.code == 14
    assert "held    default" in refused.out
    assert "was read back" in refused.err


def _age(folder: Path, days: int) -> None:
    """Let a store's files be older than they are."""
    before = time.time() - days * 86_400
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (before, before))


def test_recipients_and_writers(place: Place) -> None:
    place.backup()
    place.run("keygen", "--out", place.folder / "friend")
    access = ("--store", place.store, "--identity", place.folder / "id")
    assert place.run("vault", "recipients", "add", place.folder / "friend.pub", *access).code == 0
    assert len(place.run("vault", "recipients", "list", *access).out.splitlines()) == 2
    friend = ("restore", "latest", "--store", place.store, "--identity", place.folder / "friend", "--to")
    assert place.run(*friend, place.folder / "by-friend").code == 0
    assert place.run("vault", "recipients", "remove", "friend", *access).code == 0
    assert place.run(*friend, place.folder / "again").code == 12
    assert place.run("vault", "writers", "add", "second", *access, "--out", place.folder / "second").code == 0
    assert place.run("vault", "writers", "revoke", "writer", *access).code == 0
    assert place.backup().code == 14
    assert "revoked" in place.run("vault", "writers", "list", *access).out


def test_help_names_every_noun_without_loading_it(run: Run) -> None:
    answer = run("--help")
    assert answer.code == 0
    for noun in ("keygen", "vault", "backup", "points", "verify", "restore", "prune", "replicate"):
        assert f"\n  {noun}" in answer.out


def test_a_vault_is_not_made_twice(place: Place) -> None:
    answer = place.run(
        *("vault", "init", "--store", place.store, "--recipient", place.folder / "id.pub"),
        *("--writer", place.folder / "writer2"),
    )
    assert answer.code == 2
    assert not (place.folder / "writer2").exists()


def test_where_no_vault_is_there_is_none_to_verify(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "not-mounted"):
        answer = run("verify", "--store", f"file://{tmp_path}/{folder}")
        assert answer.code == 10
        assert answer.err.startswith("coffer: There is no vault there: ")
        assert not (tmp_path / "not-mounted").exists()


def test_a_new_vault_has_the_policy_that_it_was_made_with(tmp_path: Path, run: Run) -> None:
    (tmp_path / "keep.toml").write_text("keep-days = 30\n")
    (tmp_path / "wrong.toml").write_text("keep-dyas = 30\n")
    identity, store = tmp_path / "id", f"file://{tmp_path}/store"
    run("keygen", "--out", identity)
    words = ("vault", "init", "--store", store, "--recipient", f"{identity}.pub", "--writer", tmp_path / "writer")
    assert run(*words, "--policy", tmp_path / "wrong.toml").code == 2
    assert not (tmp_path / "store").exists()
    assert run(*words, "--policy", tmp_path / "keep.toml").code == 0
    shown = run("vault", "retention", "show", "--store", store, "--identity", identity, "--json").document
    assert shown["keep-days"] == 30
