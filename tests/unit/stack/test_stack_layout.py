"""The state folder: what may be read by whom."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from coffer.errors import HeldByAnother, UsageError
from coffer.stack import files
from coffer.stack.layout import Layout
from coffer.stack.lock import alone
from coffer.stack.secrets import Secrets


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_path_too_long_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("x" * 80), tmp_path)
    with pytest.raises(UsageError, match=r"too long.*Set COFFER_STATE to a shorter path"):
        layout.prepare()
    assert not layout.state.exists()


def test_the_place_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COFFER_STATE", str(tmp_path))
    layout = Layout.of_process()
    assert layout.state == tmp_path
    assert (layout.home / "deployments" / "local" / "ports.toml").exists()


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first = Secrets(tmp_path).get("receiver")
    assert len(first) == 48
    assert Secrets(tmp_path).get("receiver") == first
    assert Secrets(tmp_path).get("other") != first
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    path.chmod(0o666)
    files.write(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "\ud800")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_only_one_command_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(HeldByAnother), alone(tmp_path):
        pytest.fail("two held the lock")
    with alone(tmp_path):
        pass
