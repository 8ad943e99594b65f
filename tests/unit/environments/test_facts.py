from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer import environments
from coffer.environments import facts
from coffer.errors import EnvironmentFileError, NotThere

FILE = """
[service]
name = "shop"
image = "registry.example/shop"
port = 80
secrets = { DATABASE_URL = "env:SHOP_DATABASE" }
[target]
kind = "docker-host"
hosts = ["env:HOST"]
soak = "7 s"
[gate]
exceptions = "exceptions.toml"
"""


@pytest.fixture
def environment(tmp_path: Path) -> environments.Environment:
    (tmp_path / "trial.toml").write_text(FILE)
    return environments.load(str(tmp_path / "trial.toml"))


def test_a_secret_is_a_fingerprint_that_changes_with_it(
    environment: environments.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", "postgresql://u:hunter2@/shop")
    first = facts.service_spec(environment)
    monkeypatch.setenv("SHOP_DATABASE", "postgresql://u:hunter3@/shop")
    second = facts.service_spec(environment)
    assert "hunter" not in repr(first)
    assert first.settings_hash != second.settings_hash


def test_a_secret_that_is_nowhere_is_said(environment: environments.Environment) -> None:
    with pytest.raises(NotThere, match="SHOP_DATABASE"):
        facts.service_spec(environment)


def test_durations_become_seconds(environment: environments.Environment) -> None:
    assert facts.rollout_policy(environment).soak == 7


def test_exceptions_have_an_end_or_none_and_the_gate_decides(
    environment: environments.Environment, tmp_path: Path
) -> None:
    (tmp_path / "exceptions.toml").write_text(
        '[[exception]]\nfinding = "eol:node-18"\nreason = "moving"\nowner = "ann"\nuntil = 2027-01-31\n'
        '[[exception]]\nfinding = "CVE-1"\nreason = "r"\nowner = "bob"\n'
    )
    dated, open_ended = facts.gate_exceptions(environment)
    assert dated.until == datetime(2027, 1, 31, tzinfo=UTC)
    assert open_ended.until is None


@pytest.mark.parametrize("text", ['[[exception]]\nfinding = "x"\n', "[[exception", 'exception = "all"\n'])
def test_exceptions_that_cannot_be_read_refuse(
    environment: environments.Environment, tmp_path: Path, text: str
) -> None:
    (tmp_path / "exceptions.toml").write_text(text)
    with pytest.raises(EnvironmentFileError, match=r"exceptions\.toml"):
        facts.gate_exceptions(environment)
