from __future__ import annotations

from pathlib import Path

import pytest

from coffer.environments.references import Reference, resolve, resolve_mapping, resolve_text
from coffer.errors import NotThere, UsageError


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_TRIAL", "postgresql://somewhere")
    assert resolve_text("env:COFFER_TRIAL") == "postgresql://somewhere"


def test_a_structured_variable_and_a_field_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_TRIAL", '{"url": "u", "admin": "a"}')
    assert resolve_mapping("env:COFFER_TRIAL") == {"url": "u", "admin": "a"}
    assert resolve("env:COFFER_TRIAL#admin") == "a"


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "host.toml").write_text('docker = "unix:///d.sock"\n[more]\nx = 1\n')
    (tmp_path / "secret").write_text("s3cret\n")
    assert resolve(f"file:{tmp_path}/host.toml#docker") == "unix:///d.sock"
    assert resolve(f"file:{tmp_path}/secret") == "s3cret"


@pytest.mark.parametrize("text", ["", "production", "vault:production", "block:production", "block:a/b/c", "env:"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@pytest.mark.parametrize("text", ["env:COFFER_NOT_SET", "file:/nowhere/at/all"])
def test_absence_is_said(text: str) -> None:
    with pytest.raises(NotThere):
        resolve(text)


def test_an_absent_field_names_the_ones_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_TRIAL", '{"url": "u"}')
    with pytest.raises(NotThere) as caught:
        resolve("env:COFFER_TRIAL#admin")
    assert caught.value.detail == "fields: url"


@pytest.mark.parametrize("text", ["env:A", "file:/etc/x.toml#y", "block:vault/production#stores"])
def test_it_prints_as_it_is_written(text: str) -> None:
    assert str(Reference.parse(text)) == text
