"""`coffer restore` as a person types it: what to restore, how fast, what is said, and which exit code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.commands.main import main
from coffer.sources.files import FilesSource
from coffer.vault.reader import VaultReader
from coffer.vault.stores.file import FileStore
from tests.unit.vault.making import World

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "vault").mkdir()
    world = World(tmp_path, [FileStore(tmp_path / "vault")])
    source = tmp_path / "source"
    for name in ("etc/a.conf", "etc/b.conf", "var/log/a.log", "var/a.conf"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    world.back_up(FilesSource("files", source))  # type: ignore[arg-type]
    return world


@pytest.fixture
def command(world: World, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*more: str, point: str = "latest") -> tuple[int, str, str]:
        words = ["restore", point, "--store", world.stores[0].url, "--identity", str(world.folder / "id")]
        with pytest.raises(SystemExit) as ended:
            main([*words, "--to", str(world.folder / "out"), *more])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def found(world: World) -> list[str]:
    out = world.folder / "out"
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_all_of_it(world: World, command: Command) -> None:
    code, out, err = command()
    assert code == 0
    assert out.startswith("000001-")
    assert "4 files, 43 B in" in err
    assert found(world) == ["etc/a.conf", "etc/b.conf", "var/a.conf", "var/log/a.log"]


def test_one_document_and_nothing_else(world: World, command: Command) -> None:
    code, out, _ = command("--json", "--jobs", "2", "--limit-rate", "10M")
    document = json.loads(out)
    assert code == 0
    assert (document["files"], document["directories"], document["bytes"]) == (4, 3, 43)
    assert document["notes"] == []
    assert document["to"] == str(world.folder / "out")


@pytest.mark.parametrize(
    ("globs", "files"),
    [
        (["*.conf"], ["etc/a.conf", "etc/b.conf", "var/a.conf"]),
        (["/etc"], ["etc/a.conf", "etc/b.conf"]),
        (["a.*", "/var/log"], ["etc/a.conf", "var/a.conf", "var/log/a.log"]),
    ],
)
def test_a_part_of_it(world: World, command: Command, globs: list[str], files: list[str]) -> None:
    code, _, _ = command(*(word for glob in globs for word in ("--include", glob)))
    assert code == 0
    assert found(world) == files


def test_a_glob_that_means_nothing_is_said(world: World, command: Command) -> None:
    code, _, err = command("--include", "*.log", "--include", "*.nothing")
    assert code == 0
    assert "note: nothing is called *.nothing" in err
    shutil.rmtree(world.folder / "out")
    code, _, err = command("--include", "*.nothing")
    assert code == 16
    assert "Nothing in the point is called so: *.nothing" in err


@pytest.mark.parametrize(
    "words", [["--limit-rate", "fast"], ["--limit-rate", "0"], ["--limit-rate", "-1M"], ["--limit-rate", ""]]
)
def test_a_rate_that_is_none_is_refused(world: World, command: Command, words: list[str]) -> None:
    code, _, err = command(*words)
    assert code == 2
    assert "That is no rate" in err
    assert not (world.folder / "out").exists()


def test_a_target_that_is_not_empty(world: World, command: Command) -> None:
    (world.folder / "out").mkdir()
    (world.folder / "out/mine").touch()
    code, _, err = command()
    assert code == 15
    assert err.count("\n") == 1
    assert "not empty" in err


def test_interrupted_and_run_again(world: World, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", interrupt)
    code, _, err = command()
    monkeypatch.undo()
    assert code == 130
    assert f"what is in {world.folder / 'out'} is not whole. Remove it" in err
    code, _, err = command()
    assert code == 15
    assert "did not finish" in err
    shutil.rmtree(world.folder / "out")
    assert command()[0] == 0


def test_a_part_of_a_cluster_is_refused(world: World, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilesSource, "kind", "postgres")
    world.back_up(FilesSource("cluster", world.folder / "source"), service="other")  # type: ignore[arg-type]
    code, _, err = command("--include", "*", "--service", "other")
    assert code == 2
    assert "restored whole" in err


def test_reading_gets_the_jobs_and_the_rate(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    restore = VaultReader.restore

    def spy(self: VaultReader, *words: object, **more: object) -> object:
        seen.append((self.jobs, self.limit is not None))
        return restore(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(VaultReader, "restore", spy)
    assert command("--jobs", "7", "--limit-rate", "1G")[0] == 0
    assert seen == [(7, True)]


@pytest.mark.parametrize("option", [["--delta"], ["--table", "public.t"]])
def test_what_is_for_databases_is_refused_for_files(world: World, command: Command, option: list[str]) -> None:
    code, _, err = command(*option)
    assert code == 2
    assert "are for databases" in err
    assert not (world.folder / "out").exists()


def test_two_moments_are_refused(command: Command) -> None:
    code, _, err = command("--consistent", "--lsn", "0/1000000")
    assert code == 2
    assert "exclude each other" in err
