from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coffer.commands.ledger import ledger
from coffer.errors import CofferError
from coffer.ledger import FolderStorage, Ledger, key_file
from coffer.ledger.verification import name_of


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COFFER_STATE", str(tmp_path))
    secret = key_file.load_or_create(tmp_path / "secrets" / "ledger.key")
    book = Ledger.open(FolderStorage(tmp_path / "ledger"), secret)
    for act in ("point.taken", "release.switched", "release.soaked"):
        book.append(act, "creditai/production", {"who": "a test"}, datetime(2026, 3, 1, tzinfo=UTC))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(ledger, list(words))


def test_show_prints_every_entry(state: Path) -> None:
    assert [entry["act"] for entry in json.loads(run("show", "--json").stdout)] == [
        "point.taken",
        "release.switched",
        "release.soaked",
    ]
    text = run("show", "--last", "1").stdout
    assert "release.soaked" in text
    assert "point.taken" not in text
    assert json.loads(run("show", "--subject", "staging", "--json").stdout) == []


def test_verify_says_whole_or_what_is_wrong(state: Path) -> None:
    assert run("checkpoint", "--out", str(state / "cp")).exit_code == 0
    result = run("verify", "--json", "--checkpoint", str(state / "cp"))
    assert json.loads(result.stdout)["whole"] is True
    (state / "ledger" / name_of(3)).unlink()
    damaged = run("verify", "--json", "--checkpoint", str(state / "cp"))
    assert len(json.loads(damaged.stdout)["problems"]) == 1
    assert "cut off" in damaged.stdout
    assert isinstance(damaged.exception, CofferError)
    assert damaged.exception.exit_code == 13


def test_a_copy_is_verified_with_the_public_key_alone(state: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    key = str(key_file.public_file(state / "secrets" / "ledger.key"))
    assert run("verify", "--ledger", str(state / "ledger"), "--key", key).exit_code == 0
    other = tmp_path_factory.mktemp("other") / "k"
    key_file.load_or_create(other)
    refused = run("verify", "--ledger", str(state / "ledger"), "--key", str(key_file.public_file(other)))
    assert isinstance(refused.exception, CofferError)
    assert "may not write" in str(refused.exception)


def test_a_ledger_in_a_store_is_read_by_its_address(state: Path) -> None:
    (state / "store").mkdir()
    (state / "ledger").rename(state / "store" / "ledger")
    assert len(json.loads(run("show", "--json", "--ledger", f"file://{state}/store").stdout)) == 3


def test_a_missing_ledger_is_one_clear_line(state: Path) -> None:
    result = run("show", "--ledger", str(state / "nowhere"))
    assert isinstance(result.exception, CofferError)
    assert result.exception.exit_code == 2
