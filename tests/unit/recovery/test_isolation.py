"""What is hidden from a restored cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.recovery import isolation


@pytest.fixture(autouse=True)
def _as_root_with_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_refusal", lambda: "")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(isolation, "HIDDEN", ())


def test_a_folder_inside_a_hidden_one_is_not_hidden_again(tmp_path: Path) -> None:
    inner = tmp_path / "sockets" / "postgres"
    inner.mkdir(parents=True)
    (tmp_path / "link").symlink_to(inner.parent)
    cut_off = isolation.isolation(
        "nobody", tmp_path / "scratch", [inner, inner.parent, tmp_path / "link", tmp_path / "no"]
    )
    assert cut_off.hidden == (str(inner.parent),)


def test_what_holds_the_scratch_folder_stays_and_what_is_inside_it_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "sockets").mkdir()
    cut_off = isolation.isolation("nobody", tmp_path / "scratch", [tmp_path, tmp_path / "sockets"])
    assert cut_off.hidden == (str(tmp_path / "sockets"),)
