"""`coffer ls` and `coffer diff` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.commands.main import main
from coffer.sources.files import FilesSource
from coffer.vault.stores.file import FileStore
from tests.unit.vault.making import World

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """Two points: between them one file came, one went, one grew, one changed its mode, one became a folder."""
    (tmp_path / "vault").mkdir()
    world = World(tmp_path, [FileStore(tmp_path / "vault")])
    source = tmp_path / "source"
    (source / "etc").mkdir(parents=True)
    for name in ("etc/stays", "etc/goes", "grows", "mode", "kind"):
        (source / name).write_text(name)
    (source / "ugly\x1b[31m").write_text("")
    first = world.back_up(FilesSource("files", source))  # type: ignore[arg-type]
    (source / "etc/goes").unlink()
    (source / "etc/came").write_text("came")
    (source / "grows").write_text("grows and grows")
    (source / "mode").chmod(0o711)
    (source / "kind").unlink()
    (source / "kind").mkdir()
    return [first.name, world.back_up(FilesSource("files", source)).name]  # type: ignore[arg-type]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--store", f"file://{tmp_path / 'vault'}", "--identity", str(tmp_path / "id")])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_one_level_or_all_of_it(names: list[str], command: Command) -> None:
    code, out, _ = command("ls", names[0])
    assert code == 0
    assert [line.split(":")[-1] for line in out.splitlines()] == ["etc", "grows", "kind", "mode", "ugly\\x1b[31m"]
    _, out, _ = command("ls", names[0], "etc")
    assert [line.split(":")[-1] for line in out.splitlines()] == ["etc/goes", "etc/stays"]
    _, out, _ = command("ls", names[0], "-R", "--json")
    assert len(json.loads(out)["entries"]) == 7


def test_one_file_by_name_and_one_that_is_not_there(names: list[str], command: Command) -> None:
    _, out, _ = command("ls", names[0], "/etc/goes", "--json")
    (entry,) = json.loads(out)["entries"]
    assert (entry["path"], entry["size"], entry["type"]) == ("etc/goes", 8, "file")
    code, out, err = command("ls", names[1], "etc/goes")
    assert (code, out) == (16, "")
    assert "nothing there: etc/goes" in err


def test_what_differs(names: list[str], command: Command) -> None:
    _, out, _ = command("diff", *names, "--json")
    changes = {each["path"]: each["change"] for each in json.loads(out)["changes"]}
    assert changes.pop("etc") == "attributes"  # its time
    assert changes == {
        "etc/came": "added", "etc/goes": "removed", "grows": "content", "kind": "type", "mode": "attributes"
    }  # fmt: skip
    _, out, err = command("diff", *names)
    assert "M        5 B       15 B files:grows" in out
    assert "2 attributes" in err


def test_a_point_does_not_differ_from_itself(names: list[str], command: Command) -> None:
    code, out, err = command("diff", names[0], names[0])
    assert (code, out) == (0, "")
    assert "nothing differs" in err
