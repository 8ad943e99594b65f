"""What `coffer backup` lets people choose, and what it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.commands import backup_progress
from coffer.vault.compression import Encoding
from tests.unit.commands.test_vault_commands import Place, place, run

__all__ = ["place", "run"]


@pytest.mark.parametrize("more", [("--compression", "gzip", "--level", "9"), ()])
def test_text_is_stored_small_and_comes_back(place: Place, more: tuple[str, ...]) -> None:
    (place.folder / "src/text").write_text("the same line\n" * 100_000)
    answer = place.backup("--json", "--jobs", "1", *more)
    document = answer.document
    assert document["stored"] < 200_000
    assert document["sources"][0]["read"] == document["size"] == 50_000 + 1_400_000
    assert document["sources"][0]["seconds"] >= 0
    assert place.restore("out").code == 0
    assert (place.folder / "out/text").read_text() == "the same line\n" * 100_000


def test_nothing_is_compressed_where_none_is_asked_for(place: Place) -> None:
    (place.folder / "src/text").write_text("the same line\n" * 100_000)
    assert place.backup("--json", "--compression", "none").document["stored"] > 1_400_000


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--compression", "gzip", "--level", "10"), f"{Encoding.GZIP.name.lower()} has 1 to 9, not 10"),
        (("--limit-rate", "fast"), "no rate"),
        (("--jobs", "0"), "--jobs"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(place: Place, more: tuple[str, ...], said: str) -> None:
    answer = place.backup(*more)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_log_gets_lines_now_and_then(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_progress, "_LINE_SECONDS", 0.0)
    answer = place.backup("--limit-rate", "100G")
    assert "backing up: 1 entries, 48.8 KiB read" in answer.err
    assert "1 entries of 48.8 KiB" in answer.err


def test_one_point_goes_into_every_store_that_is_named(place: Place, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    place.backup("--store", f"file://{second}")
    names = [{path.name for path in store.rglob("points/*/*/*")} for store in (place.folder / "store", second)]
    assert names[0] == names[1] != set()
