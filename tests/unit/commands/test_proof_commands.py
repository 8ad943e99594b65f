"""What verify keeps, what points shows, and how sizes are written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from coffer.commands.main import main
from coffer.commands.sizes import Size


class Place:
    """A small vault, and a command line at it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture
        self.store = ("--store", f"file://{folder}/store")
        self.identity = ("--identity", folder / "id")
        (folder / "src").mkdir()
        self.run("keygen", "--out", folder / "id")
        writer = ("--writer", folder / "writer", "--pruner", folder / "pruner")
        self.run("vault", "init", *self.store, "--recipient", folder / "id.pub", *writer)

    def run(self, *words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = self._capture.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    def backup(self, size: int = 50_000) -> str:
        (self.folder / "src/file").write_bytes(os.urandom(size))
        source = f"files:{self.folder}/src"
        code, out, err = self.run("backup", *self.store, "--writer", self.folder / "writer", "--source", source)
        assert code == 0, err
        return out.strip()

    def points(self) -> list[dict[str, Any]]:
        code, out, err = self.run("points", *self.store, "--writer", self.folder / "writer", "--json")
        assert code == 0, err
        found: list[dict[str, Any]] = json.loads(out)
        return found


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def test_what_was_read_back_is_shown_beside_the_point(place: Place) -> None:
    first, second = place.backup(), place.backup()
    code, out, err = place.run("verify", first, *place.store, *place.identity, "--json")
    assert code == 0, err
    assert json.loads(out)["proofs"] == [{"service": "default", "point": first, "result": "passed"}]
    [one, two] = place.points()
    assert (one["name"], two["name"]) == (first, second)
    assert one["proof"]["read_back"]
    assert one["proof"]["history"][0]["how"] == "read-back"
    assert two["proof"] == {"read_back": None, "drilled": None, "damaged": None, "detail": "", "history": []}
    assert one["age_seconds"] >= 0
    assert one["in_window"] is None
    _, out, err = place.run("points", *place.store, *place.identity)
    assert "read back" in out.splitlines()[0]
    assert "not proven" in out.splitlines()[1]
    assert f"newest proven {first}" in err


def test_the_window_is_what_the_root_signed(place: Place) -> None:
    place.backup()
    (place.folder / "policy.toml").write_text("keep-days = 30\n")
    signed = ("vault", "retention", "set", *place.store, *place.identity, "--policy", place.folder / "policy.toml")
    assert place.run(*signed)[0] == 0
    assert place.points()[0]["in_window"] is True
    assert "window of 30 days" in place.run("points", *place.store, *place.identity)[2]


def test_damage_is_shown_and_a_prune_does_not_count_on_it(place: Place) -> None:
    first, second = place.backup(), place.backup()
    assert place.run("verify", *place.store, *place.identity)[0] == 0
    pack = max((place.folder / "store/packs").rglob("*-*"), key=lambda path: path.stat().st_mtime_ns)
    pack.write_bytes(b"rot")
    code, _, err = place.run("verify", *place.store, *place.identity)
    assert code == 13
    assert f"{second}  default  damaged" in err
    assert place.points()[1]["proof"]["damaged"]
    assert "DAMAGED" in place.run("points", *place.store, *place.identity)[1].splitlines()[1]
    (place.folder / "policy.toml").write_text("keep-last = 1\n")
    policy = ("--policy", place.folder / "policy.toml")
    _, out, _ = place.run("prune", *place.store, "--pruner", place.folder / "pruner", *policy, "--dry-run")
    assert f"keep    default  {first}  one of the last 1" in out


def test_within_reads_what_is_due_and_says_what_is_late(place: Place) -> None:
    names = [place.backup() for _ in range(3)]
    words = ("verify", *place.store, *place.identity, "--within", 30, "--budget", "60KB", "--json")
    for name, late in zip(reversed(names), (2, 1, 0), strict=True):
        code, out, err = place.run(*words)
        assert code == 0, err
        document = json.loads(out)
        assert [each["point"] for each in document["proofs"]] == [name]
        assert document["late"]["packs"] == late
        assert ("late:" in err) is bool(late)
    assert json.loads(place.run(*words)[1])["proofs"] == []


def test_a_result_need_not_be_kept(place: Place) -> None:
    place.backup()
    assert place.run("verify", *place.store, *place.identity, "--no-proof")[0] == 0
    assert place.points()[0]["proof"]["history"] == []


@pytest.mark.parametrize(
    "words", [("--within", "3"), ("--budget", "1GiB"), ("POINT", "--within", "3"), ("--within", "3", "--no-proof")]
)
def test_options_that_do_not_go_together_are_refused(place: Place, words: tuple[str, ...]) -> None:
    who = place.identity if words != ("--within", "3") else ()
    assert place.run("verify", *words, *place.store, *who)[0] == 2


@pytest.mark.parametrize(
    ("text", "size"), [("12", 12), ("1k", 1000), ("1.5 KiB", 1536), ("50GiB", 50 << 30), ("2TB", 2 * 10**12)]
)
def test_sizes_are_written_as_people_do(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "-1", "1 x", "1ii", "GiB", "1 i"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)
