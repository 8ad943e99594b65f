from __future__ import annotations

from pathlib import Path

import pytest

from coffer.scanners.layer_cache import layer_cache


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def test_is_kept_between_scans_and_apart_by_name(tmp_path: Path) -> None:
    with layer_cache("secrets", tmp_path / "own") as first:
        (first / "fanal.db").write_text("seen")
    with layer_cache("secrets", tmp_path / "own") as again, layer_cache("sbom", tmp_path / "own") as other:
        assert (again / "fanal.db").read_text() == "seen"
        assert other not in (again, tmp_path / "own")


def test_while_it_is_held_another_scan_gets_its_own(tmp_path: Path) -> None:
    with layer_cache("secrets", tmp_path / "own") as held, layer_cache("secrets", tmp_path / "own") as second:
        assert second == tmp_path / "own" != held


def test_it_is_free_again_after_a_scan_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), layer_cache("secrets", tmp_path / "own") as held:
        raise RuntimeError
    with layer_cache("secrets", tmp_path / "own") as again:
        assert again == held
